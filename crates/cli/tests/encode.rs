//! `encode` and `interpolate`: pictures to noise and back, and paths between samples.

mod common;

use std::{fs, path::Path};

use common::{POINTS, contains, fail, images, json, read_npy, run, stderr, stdout, succeed, train_tiny, variant};

/// A small network that diffusers has trained on garments.
fn trained(name: &str) -> String {
    format!("{}/tests/golden/trained/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Largest difference of two arrays.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn pictures_become_noise_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 3);
    let model = trained("linear-epsilon");
    let encode = |out: &str, more: &[&str]| {
        let args = ["encode", "--model", &model, "--image", "images.npy", "--out", out, "--steps", "60"];
        succeed(dir.path(), &[&args[..], more].concat())
    };
    let said = encode("coded", &[]);
    contains(&stderr(&said), &["encoding 3 pictures, 60 steps of ddim", "round trip: PSNR", "mean"]);
    assert!(stdout(&said).lines().all(|line| dir.path().join(line).is_file()), "{}", stdout(&said));
    let (shape, noise) = read_npy(&dir.path().join("coded/noise.npy"));
    assert_eq!(shape, [1, 3, 1, 28, 28]);
    let record = json(&dir.path().join("coded/encode.json"));
    let round_trips = record["round_trip"].as_array().unwrap();
    assert_eq!(round_trips.len(), 3);

    // What `sample` draws from the noise is what was measured.
    let sample =
        ["sample", "--model", &model, "--noise", "coded/noise.npy", "--sampler", "ddim", "--steps", "60", "--no-clip"];
    succeed(dir.path(), &[&sample[..], &["--num", "3", "--out", "again"]].concat());
    let (_, drawn) = read_npy(&dir.path().join("again/samples.npy"));
    let given = fs::read(dir.path().join("images.npy")).unwrap();
    let given: Vec<f32> =
        given[given.len() - 3 * 784..].iter().map(|&level| (f64::from(level) / 127.5 - 1.0) as f32).collect();
    for (i, round_trip) in round_trips.iter().enumerate() {
        let largest = apart(&drawn[784 * i..784 * (i + 1)], &given[784 * i..784 * (i + 1)]);
        let said = round_trip["largest_difference"].as_f64().unwrap();
        assert!((f64::from(largest) - said).abs() < 1e-5, "{largest} {said}");
        assert!(round_trip["psnr_db"].as_f64().unwrap() > 35.0, "{round_trip}");
    }

    // Neither batches nor threads change the noise.
    encode("one", &["--batch-size", "1", "--threads", "1"]);
    let (_, one) = read_npy(&dir.path().join("one/noise.npy"));
    assert!(apart(&one, &noise) < 1e-3, "{}", apart(&one, &noise));
    // Refinement brings the pictures closer.
    encode("plain", &["--refine", "0"]);
    let error = |out: &str| {
        let record = json(&dir.path().join(out).join("encode.json"));
        let errors =
            record["round_trip"].as_array().unwrap().iter().map(|one| one["mean_square_error"].as_f64().unwrap());
        errors.sum::<f64>()
    };
    assert!(error("coded") < error("plain"), "{} {}", error("coded"), error("plain"));
    encode("heun", &["--sampler", "heun"]);
    encode("euler", &["--sampler", "euler"]);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 1);
    let (model, classes) = (trained("linear-epsilon"), trained("classes"));
    let refused = |code, model: &str, image: &str, more: &[&str]| {
        let args = ["encode", "--model", model, "--image", image, "--out", "out", "--steps", "3"];
        let said = fail(dir.path(), code, &[&args[..], more].concat());
        assert!(!dir.path().join("out").join("noise.npy").exists());
        said
    };
    contains(&refused(2, &model, "images.npy", &["--sampler", "ddpm"]), &["--sampler ddpm", "ddim, euler and heun"]);
    contains(&refused(1, &model, "nothing.png", &[]), &["nothing.png"]);
    fs::write(dir.path().join("text.png"), "no picture").unwrap();
    contains(&refused(1, &model, "text.png", &[]), &["text.png", "no picture"]);
    contains(&refused(1, &classes, "images.npy", &[]), &["--class"]);
    contains(&refused(1, &model, "images.npy", &["--class", "1"]), &["--class 1", "not class-conditional"]);
    contains(&refused(2, &model, "images.npy", &["--steps", "5000"]), &["--steps 5000", "1000"]);
    succeed(
        dir.path(),
        &[
            &["encode", "--model", &classes, "--image", "images.npy", "--out", "coat"][..],
            &["--class", "4", "--steps", "3"],
        ]
        .concat(),
    );
    let again =
        ["encode", "--model", &classes, "--image", "images.npy", "--out", "coat", "--class", "4", "--steps", "3"];
    contains(&fail(dir.path(), 1, &again), &["noise.npy", "--overwrite"]);
    succeed(dir.path(), &[&again[..], &["--overwrite"]].concat());

    let args: Vec<&str> = ["train", "--steps", "1", "--out", "runs/points"].iter().chain(POINTS).copied().collect();
    succeed(dir.path(), &args);
    contains(&refused(1, "runs/points/model", "images.npy", &[]), &["runs/points/model", "of points"]);
}

/// The samples of a seed.
fn samples(dir: &Path, model: &str, more: &[&str]) -> Vec<f32> {
    let out = format!("ends-{}", more.join("_").replace("--", ""));
    let args = ["sample", "--model", model, "--steps", "4", "--out", &out];
    succeed(dir, &[&args[..], more].concat());
    read_npy(&dir.join(out).join("samples.npy")).1
}

#[test]
fn paths_lead_from_sample_to_sample() {
    let dir = tempfile::tempdir().unwrap();
    let model = train_tiny(dir.path(), "a", &["--steps", "2", "--sample-every", "0"]).join("model");
    let model = model.to_str().unwrap();
    let interpolate = |out: &str, more: &[&str]| {
        let args = ["interpolate", "--model", model, "--steps", "4", "--frames", "5", "--out", out];
        succeed(dir.path(), &[&args[..], more].concat());
        let (shape, values) = read_npy(&dir.path().join(out).join("samples.npy"));
        assert!(dir.path().join(out).join("grid.png").is_file());
        (shape, values)
    };
    for sampler in ["ddpm", "ddim"] {
        let (shape, values) = interpolate(sampler, &["--from", "3", "--to", "5:2", "--num", "2", "--sampler", sampler]);
        assert_eq!(shape, [10, 1, 28, 28]);
        let from = samples(dir.path(), model, &["--sampler", sampler, "--seed", "3", "--num", "2"]);
        let to = samples(dir.path(), model, &["--sampler", sampler, "--seed", "5", "--num", "4"]);
        for row in 0..2 {
            let of = |frame: usize| &values[(row * 5 + frame) * 784..][..784];
            assert!(apart(of(0), &from[row * 784..][..784]) < 1e-5, "{sampler} {row}");
            assert!(apart(of(4), &to[(row + 2) * 784..][..784]) < 1e-5, "{sampler} {row}");
            assert!((0..4).all(|i| apart(of(i), of(i + 1)) > 0.0));
        }
        let (_, one) = interpolate(
            &format!("{sampler}-1"),
            &["--from", "3", "--to", "5:2", "--num", "2", "--sampler", sampler, "--batch-size", "1", "--threads", "1"],
        );
        assert!(apart(&one, &values) < 1e-4, "{sampler}");
    }
    let gif = fs::read(dir.path().join("ddpm/interpolation.gif")).unwrap();
    assert!(gif.starts_with(b"GIF89a"));
}

#[test]
fn paths_lead_from_pictures_and_from_class_to_class() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path(), 2);
    let model = trained("linear-epsilon");
    let args = [
        "interpolate",
        "--model",
        &model,
        "--from",
        "images.npy",
        "--to",
        "7",
        "--frames",
        "3",
        "--steps",
        "60",
        "--out",
        "pictures",
    ];
    succeed(dir.path(), &args);
    let (shape, values) = read_npy(&dir.path().join("pictures/samples.npy"));
    assert_eq!(shape, [6, 1, 28, 28], "a path for each picture");
    let end = {
        let args = [
            "sample",
            "--model",
            &model,
            "--sampler",
            "ddim",
            "--steps",
            "60",
            "--no-clip",
            "--seed",
            "7",
            "--num",
            "1",
            "--out",
            "end",
        ];
        succeed(dir.path(), &args);
        read_npy(&dir.path().join("end/samples.npy")).1
    };
    assert!(apart(&values[2 * 784..3 * 784], &end) < 1e-4);
}

#[test]
fn paths_lead_from_class_to_class() {
    let dir = tempfile::tempdir().unwrap();
    let classes = trained("classes");
    let path = [
        "interpolate",
        "--model",
        &classes,
        "--from",
        "1",
        "--class",
        "1",
        "--to-class",
        "8",
        "--frames",
        "3",
        "--num",
        "1",
        "--steps",
        "4",
    ];
    let mut ends = Vec::new();
    for (out, guidance) in [("plain", "1"), ("guided", "2")] {
        let mut args = [&path[..], &["--out", out, "--guidance", guidance]].concat();
        if guidance == "2" {
            args.extend(["--null-class", "10"]);
        }
        succeed(dir.path(), &args);
        let (_, values) = read_npy(&dir.path().join(out).join("samples.npy"));
        for (frame, class) in [(0, "1"), (2, "8")] {
            let name = format!("{out}-{class}");
            let mut args = vec![
                "sample",
                "--model",
                &classes,
                "--class",
                class,
                "--seed",
                "1",
                "--num",
                "1",
                "--steps",
                "4",
                "--guidance",
                guidance,
                "--out",
                &name,
            ];
            if guidance == "2" {
                args.extend(["--null-class", "10"]);
            }
            succeed(dir.path(), &args);
            let (_, sample) = read_npy(&dir.path().join(&name).join("samples.npy"));
            assert!(apart(&values[frame * 784..][..784], &sample) < 1e-3, "{name}");
            ends.push(sample);
        }
    }
    assert!(apart(&ends[0], &ends[1]) > 0.1, "classes differ");
}

#[test]
fn a_path_without_a_class_keeps_that_of_its_sample() {
    let dir = tempfile::tempdir().unwrap();
    let classes = trained("classes");
    let interpolate = |out: &str, more: &[&str]| {
        let args = ["interpolate", "--model", &classes, "--frames", "3", "--steps", "4", "--num", "2", "--out", out];
        succeed(dir.path(), &[&args[..], more].concat());
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    let [from, to] = ["1", "2"].map(|seed| samples(dir.path(), &classes, &["--seed", seed, "--num", "3"]));
    let frame = |values: &[f32], row: usize, i: usize| values[(row * 3 + i) * 784..][..784].to_vec();
    let paths = interpolate("paths", &["--from", "1", "--to", "2"]);
    for row in 0..2 {
        assert!(apart(&frame(&paths, row, 0), &from[row * 784..][..784]) < 1e-4, "{row}");
        assert!(apart(&frame(&paths, row, 2), &to[row * 784..][..784]) < 1e-4, "{row}");
    }
    let second = interpolate("second", &["--from", "1", "--to", "2", "--class", "1"]);
    assert!(apart(&frame(&paths, 1, 1), &frame(&second, 1, 1)) < 1e-4, "the class stays on the way");
    // Ends of different classes: the path leads from one to the other.
    let apart_by_one = interpolate("apart", &["--from", "1", "--to", "2:1"]);
    assert!(apart(&frame(&apart_by_one, 1, 0), &from[784..2 * 784]) < 1e-3);
    assert!(apart(&frame(&apart_by_one, 1, 2), &to[2 * 784..]) < 1e-3);
}

#[test]
fn a_model_that_predicts_nothing_finite_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    variant(dir.path(), "model", "nan", |_| ());
    let weights = dir.path().join("nan/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    // Weights that are no numbers would be refused; these are, and what follows from them is not.
    bytes[header..].chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&3e38_f32.to_le_bytes()));
    fs::write(&weights, bytes).unwrap();
    image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(x * y) as u8])).save(dir.path().join("a.png")).unwrap();

    let said = fail(dir.path(), 1, &["sample", "--model", "nan", "--num", "2", "--steps", "3", "--out", "drawn"]);
    contains(&said, &["NaN or infinite throughout"]);
    assert!(dir.path().join("drawn/samples.npy").is_file(), "what was written stays");
    let encode = ["encode", "--model", "nan", "--image", "a.png", "--steps", "3", "--out", "coded"];
    contains(&fail(dir.path(), 1, &encode), &["the model's predictions are NaN or infinite"]);
    assert!(!dir.path().join("coded/noise.npy").exists());
}

#[test]
fn paths_that_lead_nowhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = trained("linear-epsilon");
    let refused = |code, more: &[&str]| {
        fail(dir.path(), code, &[&["interpolate", "--model", &model, "--out", "out"][..], more].concat())
    };
    contains(&refused(2, &["--from", "1"]), &["--to"]);
    contains(&refused(2, &["--from", "1", "--to-class", "3"]), &["--class"]);
    contains(&refused(1, &["--from", "1", "--to", "none.png"]), &["none.png"]);
    contains(&refused(1, &["--from", "1", "--to", "2", "--class", "3"]), &["--class 3"]);
    contains(&refused(2, &["--from", "1", "--to", "2", "--frames", "0"]), &["--frames"]);
    let help = stdout(&run(dir.path(), &["interpolate", "--help"]));
    contains(&help, &["--to-class", "slerp"]);
}
