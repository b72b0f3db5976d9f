//! `sample --image` and `sample --inpaint`.

mod common;

use std::{fs, path::Path};

use common::{contains, fail, images, json, read_npy, stderr, succeed, unwrapped};

/// A small network that diffusers has trained on garments.
fn trained(name: &str) -> String {
    format!("{}/tests/golden/trained/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Draws, and gives the samples.
fn sample(dir: &Path, out: &str, args: &[&str]) -> Vec<f32> {
    let model = trained("linear-epsilon");
    let all = ["sample", "--model", &model, "--out", out, "--steps", "10"];
    succeed(dir, &[&all[..], args].concat());
    read_npy(&dir.join(out).join("samples.npy")).1
}

/// The pictures of `images.npy`, in [-1, 1].
fn given(dir: &Path, count: usize) -> Vec<f32> {
    let bytes = fs::read(dir.join("images.npy")).unwrap();
    bytes[bytes.len() - count * 784..].iter().map(|&level| (f64::from(level) / 127.5 - 1.0) as f32).collect()
}

/// A grey PNG.
fn png(path: &Path, size: u32, level: impl Fn(u32, u32) -> u8) {
    image::GrayImage::from_fn(size, size, |x, y| image::Luma([level(x, y)])).save(path).unwrap();
}

fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
}

#[test]
fn strength_says_how_much_of_a_picture_is_left() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 3);
    let given = given(dir.path(), 3);
    let mut before = 0.0;
    for strength in ["0.1", "0.5", "1"] {
        let samples = sample(dir.path(), strength, &["--image", "images.npy", "--strength", strength]);
        assert_eq!(samples.len(), 3 * 784, "one sample for each picture");
        let changed = apart(&samples, &given);
        assert!(changed > before, "{strength}: {changed} after {before}");
        before = changed;
    }
    // Neither batches nor threads change a sample, and more samples go round.
    let five = sample(dir.path(), "five", &["--image", "images.npy", "--num", "5", "--batch-size", "2"]);
    let one = sample(dir.path(), "one", &["--image", "images.npy", "--num", "4..5", "--threads", "1"]);
    assert!(apart(&five[4 * 784..], &one) < 1e-5);
    assert!(apart(&five[..784], &five[3 * 784..4 * 784]) > 0.01, "the same picture, and another noise");
    let deterministic = ["--image", "images.npy", "--sampler", "heun", "--strength", "0.3", "--num", "1"];
    assert!(apart(&sample(dir.path(), "heun", &deterministic), &given[..784]) < 0.5);
    let said = stderr(&succeed(
        dir.path(),
        &[
            "sample",
            "--model",
            &trained("linear-epsilon"),
            "--image",
            "images.npy",
            "--strength",
            "0.25",
            "--steps",
            "20",
            "--out",
            "said",
        ],
    ));
    contains(&said, &["5 steps of ddpm each"]);
}

#[test]
fn known_pixels_come_out_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 2);
    let given = given(dir.path(), 2);
    png(&dir.path().join("left.png"), 28, |x, _| if x < 14 { 0 } else { 255 });
    for (sampler, more) in [
        ("ddpm", &["--jump-length", "3", "--resample", "2"][..]),
        ("dpm-solver++", &[]),
        ("euler", &["--resample", "1"]),
    ] {
        let samples = sample(
            dir.path(),
            sampler,
            &[&["--inpaint", "images.npy", "--mask", "left.png", "--sampler", sampler], more].concat(),
        );
        for (i, (sample, given)) in samples.iter().zip(&given).enumerate() {
            if i % 28 < 14 {
                assert_eq!(sample.to_bits(), given.to_bits(), "{sampler}, value {i}");
            }
        }
        let right = |values: &[f32]| {
            values.iter().enumerate().filter(|(i, _)| i % 28 >= 14).map(|(_, v)| *v).collect::<Vec<_>>()
        };
        assert!(apart(&right(&samples), &right(&given)) > 0.0, "{sampler} draws the rest");
        // In the PNG too.
        let picture = image::open(dir.path().join(sampler).join("sample-00000.png")).unwrap().into_luma8();
        let level = |value: f32| (127.5 * (f64::from(value) + 1.0)).round() as u8;
        assert!((0..28).all(|y| (0..14).all(|x| picture.get_pixel(x, y)[0] == level(given[(y * 28 + x) as usize]))));
    }
    let settings = json(&dir.path().join("ddpm/sample.json"));
    assert_eq!(settings["settings"]["pictures"]["inpaint"]["jump_length"], 3);
    // A single sample of one thread is that of a batch of two.
    let one = sample(
        dir.path(),
        "one",
        &[
            "--inpaint",
            "images.npy",
            "--mask",
            "left.png",
            "--jump-length",
            "3",
            "--resample",
            "2",
            "--num",
            "1..2",
            "--threads",
            "1",
        ],
    );
    let (_, both) = read_npy(&dir.path().join("ddpm/samples.npy"));
    assert!(apart(&one, &both[784..]) < 1e-5);
}

#[test]
fn what_is_transparent_in_a_mask_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 1);
    png(&dir.path().join("left.png"), 28, |x, _| if x < 14 { 0 } else { 255 });
    // Painted in white on a layer that is transparent elsewhere, as editors save it.
    let layer = image::RgbaImage::from_fn(28, 28, |x, _| image::Rgba([255, 255, 255, if x < 14 { 0 } else { 255 }]));
    layer.save(dir.path().join("layer.png")).unwrap();
    let inpaint = |out: &str, mask: &str| {
        sample(dir.path(), out, &["--inpaint", "images.npy", "--mask", mask, "--resample", "1"])
    };
    assert_eq!(inpaint("left", "left.png"), inpaint("layer", "layer.png"));

    png(&dir.path().join("white.png"), 28, |_, _| 255);
    let model = trained("linear-epsilon");
    let args = ["sample", "--model", &model, "--inpaint", "images.npy", "--mask", "white.png", "--resample", "1"];
    let said = stderr(&succeed(dir.path(), &[&args[..], &["--steps", "2", "--out", "all"]].concat()));
    contains(&said, &["white.png is white everywhere: nothing of the pictures is kept"]);
}

#[test]
fn the_background_of_a_picture_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let layer = image::RgbaImage::from_fn(28, 28, |x, y| image::Rgba([200, 90, 20, (9 * x.min(y)) as u8]));
    layer.save(dir.path().join("layer.png")).unwrap();
    let black = sample(dir.path(), "black", &["--image", "layer.png", "--background", "black"]);
    assert!(apart(&black, &sample(dir.path(), "white", &["--image", "layer.png"])) > 0.01);
    let recorded = |out: &str| {
        let record = json(&dir.path().join(out).join("sample.json"));
        record["settings"]["pictures"]["image"]["background"].clone()
    };
    assert_eq!((recorded("black"), recorded("white")), ("black".into(), serde_json::Value::Null));
    for (from, more) in [("black", &[][..]), ("white", &[]), ("black", &["--background", "black"])] {
        let (file, out) = (format!("{from}/sample-00000.png"), format!("again-{from}-{}", more.len()));
        let said = stderr(&succeed(dir.path(), &[&["sample", "--like", &file, "--out", &out][..], more].concat()));
        contains(&said, &["again, byte for byte"]);
    }
    let like = ["sample", "--like", "black/sample-00000.png", "--out", "other", "--background", "grey"];
    contains(&fail(dir.path(), 1, &like), &["cannot be made again", "pictures"]);
    sample(dir.path(), "noise", &["--num", "1"]);
    let like = ["sample", "--like", "noise/sample-00000.png", "--out", "other", "--background", "grey"];
    contains(&fail(dir.path(), 1, &like), &["noise alone", "--background"]);
}

#[test]
fn a_picture_from_a_picture_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 3);
    png(&dir.path().join("mask.png"), 28, |x, y| if (x + y) % 9 < 4 { 0 } else { 255 });
    sample(dir.path(), "changed", &["--image", "images.npy", "--strength", "0.4"]);
    sample(
        dir.path(),
        "filled",
        &["--inpaint", "images.npy", "--mask", "mask.png", "--resample", "2", "--jump-length", "2"],
    );
    for from in ["changed", "filled"] {
        let file = format!("{from}/sample-00002.png");
        let out = format!("again-{from}");
        succeed(dir.path(), &["sample", "--like", &file, "--out", &out]);
        let (old, new) = (dir.path().join(&file), dir.path().join(&out).join("sample-00002.png"));
        assert!(fs::read(old).unwrap() == fs::read(new).unwrap(), "{from}");
    }
    // Another picture under the same name is found out.
    png(&dir.path().join("mask.png"), 28, |_, _| 255);
    let said = fail(dir.path(), 1, &["sample", "--like", "filled/sample-00000.png", "--out", "other"]);
    contains(&said, &["filled/sample-00000.png", "cannot be made again"]);
    fs::remove_file(dir.path().join("images.npy")).unwrap();
    let said = fail(dir.path(), 1, &["sample", "--like", "changed/sample-00000.png", "--out", "other"]);
    contains(&said, &["images.npy", "--image"]);
}

#[test]
fn pictures_of_any_kind_are_taken_and_bad_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 1);
    fs::create_dir(dir.path().join("folder")).unwrap();
    let rgb = image::RgbaImage::from_fn(50, 31, |x, y| image::Rgba([x as u8 * 5, y as u8 * 8, 90, 200]));
    rgb.save(dir.path().join("folder/a.png")).unwrap();
    png(&dir.path().join("folder/b.png"), 64, |x, y| (x * y / 16) as u8);
    assert_eq!(sample(dir.path(), "two", &["--image", "folder"]).len(), 2 * 784);
    assert_eq!(sample(dir.path(), "single", &["--image", "folder/a.png"]).len(), 784);

    let model = trained("linear-epsilon");
    let refused = |code, args: &[&str]| {
        let all = ["sample", "--model", &model, "--out", "out", "--steps", "2"];
        let said = unwrapped(&fail(dir.path(), code, &[&all[..], args].concat()));
        assert!(!dir.path().join("out/samples.npy").exists());
        said
    };
    contains(&refused(1, &["--image", "none.png"]), &["none.png"]);
    contains(&refused(2, &["--image", "folder", "--strength", "0"]), &["--strength", "above 0"]);
    contains(&refused(2, &["--image", "folder", "--strength", "1.5"]), &["--strength"]);
    contains(&refused(2, &["--strength", "0.5"]), &["--image"]);
    let inpaint = ["--inpaint", "folder", "--mask", "folder"];
    contains(&refused(2, &[&inpaint[..], &["--strength", "0.5"]].concat()), &["--strength", "cannot be used with"]);
    contains(&refused(2, &["--background", "black"]), &["--image", "--inpaint", "--like"]);
    contains(&refused(2, &["--inpaint", "folder"]), &["--mask"]);
    contains(&refused(2, &["--mask", "folder"]), &["--inpaint"]);
    contains(&refused(2, &["--image", "folder", "--inpaint", "folder", "--mask", "folder"]), &["cannot be used with"]);
    png(&dir.path().join("black.png"), 28, |_, _| 0);
    contains(&refused(1, &["--inpaint", "folder", "--mask", "black.png"]), &["black.png", "nothing would be drawn"]);
    images(dir.path(), 3);
    contains(&refused(1, &["--inpaint", "images.npy", "--mask", "folder"]), &["2 masks", "3 pictures"]);
    fs::write(dir.path().join("folder/c.png"), "text").unwrap();
    contains(&refused(1, &["--image", "folder"]), &["c.png"]);
}
