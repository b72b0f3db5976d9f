//! Pictures that say how they were made, and are made again.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{Choices, contains, fail, json, stderr, stdout, succeed, unwrapped, variant};
use serde_json::{Map, Value, json};
use sfumato_model::picture::{RECORD, Raster, Texts, read_png};

/// A model with ten classes, which can be guided, of 28×28 pixels.
const CLASSES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trained/classes");

/// The record in a picture.
fn record(path: &Path) -> Map<String, Value> {
    let file = read_png(path).unwrap();
    let text = file.texts.iter().find(|text| text.keyword == RECORD).unwrap_or_else(|| panic!("{}", path.display()));
    serde_json::from_str(text.text.as_deref().unwrap()).unwrap()
}

/// The same picture, another record.
fn with_record(from: &Path, to: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut record = record(from);
    change(&mut record);
    let pixels = image::open(from).unwrap().into_rgb8();
    let size = [pixels.width() as usize, pixels.height() as usize];
    Raster::rgb8(to, size, pixels.into_raw()).unwrap().write_png(to, &Texts::record(&record)).unwrap();
}

impl Choices {
    fn of<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.below(values.len() as u64) as usize]
    }

    /// Options of a call.
    fn options(&mut self) -> Vec<String> {
        let sampler = self.of(&["ddpm", "ddim", "dpm-solver++", "euler", "heun"]);
        let mut args: Vec<String> = vec!["--sampler".into(), sampler.into()];
        let mut put = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        put("steps", (1 + self.below(6)).to_string());
        put("spacing", self.of(&["leading", "linspace", "trailing"]).into());
        match sampler {
            "ddpm" => put("variance", self.of(&["fixed-small", "fixed-large"]).into()),
            "ddim" => {
                put("eta", self.of(&["0", "0.3", "1"]).into());
                put("ddim", self.of(&["consistent", "diffusers"]).into());
            }
            "dpm-solver++" => put("order", (1 + self.below(3)).to_string()),
            _ => {}
        }
        if self.below(2) == 0 {
            put("class", self.below(10).to_string());
        }
        if self.below(2) == 0 {
            put("guidance", self.of(&["1", "1.7", "3"]).into());
            put("null-class", "10".into());
        }
        if self.below(2) == 0 {
            put("image-size", format!("{}x{}", 8 + 4 * self.below(5), 8 + 4 * self.below(5)));
        }
        put("seed", if self.below(4) == 0 { u64::MAX } else { self.below(1 << 40) }.to_string());
        if ["dpm-solver++", "euler", "heun"].contains(&sampler) && self.below(2) == 0 {
            args.push("--karras".into());
        }
        args
    }
}

fn words<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

/// A call that leaves `out`.
fn sample(dir: &Path, out: &str, args: &[&str]) -> PathBuf {
    succeed(dir, &words(&[&["sample", "--model", CLASSES, "--out", out, "--threads", "1"], args]));
    dir.join(out)
}

#[test]
fn twenty_random_pictures_are_made_again_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let mut choices = Choices::new();
    for n in 0..20 {
        let options = choices.options();
        let (first, num) = (choices.below(30), 1 + choices.below(5));
        let (range, batch) = (format!("{first}..{}", first + num), (1 + choices.below(num)).to_string());
        println!("{} --num {range} --batch-size {batch}", options.join(" "));
        let out = format!("out{n}");
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        sample(dir.path(), &out, &words(&[&options, &["--num", &range, "--batch-size", &batch]]));
        let name = format!("sample-{:05}.png", first + choices.below(num));
        let (file, again) = (format!("{out}/{name}"), format!("again{n}"));
        let threads = choices.of(&["1", "2"]);
        let said = stderr(&succeed(dir.path(), &["sample", "--like", &file, "--out", &again, "--threads", threads]));
        let bytes = |folder: &str| fs::read(dir.path().join(folder).join(&name)).unwrap();
        assert!(bytes(&out) == bytes(&again), "{file}: {said}");
        contains(&said, &[&format!("{again}/{name} is {file} again, byte for byte")]);
    }
}

#[test]
fn a_grid_is_the_whole_call_again() {
    let dir = tempfile::tempdir().unwrap();
    let names = |folder: &str| {
        let names = fs::read_dir(dir.path().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.filter(|name| name.to_str().unwrap().ends_with("g")).collect();
        names.sort();
        names
    };
    for (out, args) in [
        ("one", &["--num", "3..15", "--seed", "4"][..]),
        ("several", &["--num", "2", "--seeds", "4,1", "--guidance", "1,3", "--null-class", "10", "--class", "7"]),
    ] {
        sample(dir.path(), out, &words(&[args, &["--steps", "2", "--sampler", "ddim"]]));
        let again = format!("{out}-again");
        let said = stderr(&succeed(
            dir.path(),
            &["sample", "--like", &format!("{out}/grid.png"), "--out", &again, "--threads", "1"],
        ));
        contains(&said, &["grid.png again, byte for byte"]);
        assert_eq!(names(out), names(&again));
        for name in names(out).into_iter().map(|name| name.into_string().unwrap()).chain(["samples.npy".to_owned()]) {
            let bytes = |folder: &str| fs::read(dir.path().join(folder).join(&name)).unwrap();
            assert!(bytes(out) == bytes(&again), "{name}");
        }
    }
}

#[test]
fn a_picture_says_everything_that_made_it_and_nothing_of_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let out = sample(dir.path(), "out", &["--num", "4", "--steps", "3", "--seed", "9", "--sampler", "heun"]);
    let found = record(&out.join("sample-00003.png"));
    let expected = json!({
        "picture": "sample", "sampler": "heun", "steps": 3, "spacing": "leading", "karras": false, "class": 3, "seed": 9,
        "index": 3, "model": CLASSES, "version": env!("CARGO_PKG_VERSION"), "backend": "flex",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(found.get(key), Some(value), "{key}");
    }
    let weights = Path::new(CLASSES).join("unet/diffusion_pytorch_model.fp16.safetensors");
    assert_eq!(found["weights_sha256"], sfumato_files::file_sha256(&weights).unwrap());
    assert!(["scheduler_sha256", "network_sha256", "revision"].iter().all(|key| found[*key].is_string()));
    assert_eq!(found.len(), expected.as_object().unwrap().len() + 4, "{found:?}");
    let grid = record(&out.join("grid.png"));
    assert_eq!((&grid["picture"], &grid["first"], &grid["num"]), (&json!("grid"), &json!(0), &json!(4)));
    assert_eq!(grid["class"], "0 to 10");
    let texts = read_png(&out.join("sample-00003.png")).unwrap().texts;
    let line = texts.iter().find(|text| text.keyword == "parameters").unwrap().text.clone().unwrap();
    contains(&line, &["Steps: 3, Sampler: heun, Seed: 9, Index: 3, Class: 3, Size: 28x28, Model hash: "]);

    let shown = unwrapped(&stdout(&succeed(dir.path(), &["info", "out/sample-00003.png"])));
    contains(
        &shown,
        &["sampler heun", "seed 9", "index 3", "pixels 28 x 28", "sfumato sample --like out/sample-00003.png"],
    );
    let told: Value = serde_json::from_slice(&succeed(dir.path(), &["info", "out/grid.png", "--json"]).stdout).unwrap();
    assert_eq!(told["sfumato"], Value::Object(grid));
}

#[test]
fn another_model_is_refused_with_both_checksums_and_a_copy_is_not() {
    let dir = tempfile::tempdir().unwrap();
    variant(dir.path(), "model", "m", |_| {});
    let args = ["sample", "--model", "m", "--out", "out", "--num", "2", "--steps", "3", "--threads", "1"];
    succeed(dir.path(), &args);
    let file = "out/sample-00001.png";
    let like = |more: &[&'static str]| -> Vec<&'static str> {
        words(&[&["sample", "--like", file, "--out", "again", "--threads", "1"], more])
    };
    // The same in another place, after the old one is gone, and with its files laid out anew.
    variant(dir.path(), "model", "copy", |_| {});
    fs::rename(dir.path().join("m"), dir.path().join("gone")).unwrap();
    contains(&fail(dir.path(), 1, &like(&[])), &["was drawn with the model in m; --model DIR says where it is now"]);
    let said = stderr(&succeed(dir.path(), &like(&["--model", "copy"])));
    contains(&said, &["sample-00001.png again, byte for byte"]);
    // Another scheduler, and other weights.
    variant(dir.path(), "model", "other", |config| config["beta_end"] = 0.03.into());
    let sums = record(&dir.path().join(file));
    let said = fail(dir.path(), 1, &like(&["--model", "other", "--overwrite"]));
    let old = sums["scheduler_sha256"].as_str().unwrap();
    contains(
        &said,
        &["other is not the model that made out/sample-00001.png", old, "scheduler_config.json", "--model DIR"],
    );
    variant(dir.path(), "model", "trained", |_| {});
    let weights = dir.path().join("trained/unet/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let said = fail(dir.path(), 1, &like(&["--model", "trained", "--overwrite"]));
    let new = sfumato_files::file_sha256(&weights).unwrap();
    contains(&said, &[&new, sums["weights_sha256"].as_str().unwrap(), "weights", "--model DIR"]);
}

#[test]
fn what_the_file_says_is_not_said_twice() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path(), "out", &["--num", "1", "--steps", "2"]);
    let like = ["sample", "--like", "out/sample-00000.png", "--out", "again"];
    for option in [&["--steps", "2"][..], &["--seed", "0"], &["--num", "3"], &["--guidance", "2"], &["--seeds", "1,2"]]
    {
        let said = fail(dir.path(), 2, &words(&[&like, option]));
        contains(&said, &[&format!("{} cannot stand beside --like", option[0]), "out/sample-00000.png says it"]);
    }
    contains(&fail(dir.path(), 2, &["sample", "--out", "x"]), &["--model"]);
    let free = ["--gif", "--batch-size", "3", "--threads", "2", "--overwrite", "--backend", "flex"];
    contains(&stderr(&succeed(dir.path(), &words(&[&like, &free]))), &["again, byte for byte"]);
    assert!(dir.path().join("again/denoising.gif").is_file());
}

#[test]
fn recorded_noise_is_looked_for_and_known_by_its_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let noise: Vec<f32> = (0..4 * 3 * 784).map(|i| ((i * 7919) % 200) as f32 / 50.0 - 2.0).collect();
    let write = |name: &str, noise: &[f32]| {
        sfumato_files::write_npy_f32(&dir.path().join(name), &[4, 3, 1, 28, 28], noise).unwrap();
    };
    write("noise.npy", &noise);
    sample(dir.path(), "out", &["--num", "1..3", "--steps", "3", "--noise", "noise.npy", "--sampler", "ddpm"]);
    let file = "out/sample-00002.png";
    let found = record(&dir.path().join(file));
    assert_eq!((found.get("seed"), &found["files"]), (None, &json!({ "noise": "noise.npy" })));
    let like = |out: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        words(&[&["sample", "--like", file, "--out", out], more])
    };
    contains(&stderr(&succeed(dir.path(), &like("a", &[]))), &["again, byte for byte"]);
    fs::rename(dir.path().join("noise.npy"), dir.path().join("moved.npy")).unwrap();
    contains(&fail(dir.path(), 1, &like("b", &[])), &["noise.npy, is not there", "--noise FILE.npy"]);
    contains(&stderr(&succeed(dir.path(), &like("b", &["--noise", "moved.npy"]))), &["again, byte for byte"]);
    write("noise.npy", &noise.iter().map(|x| x + 0.5).collect::<Vec<_>>());
    let sum = sfumato_files::file_sha256(&dir.path().join("noise.npy")).unwrap();
    contains(&fail(dir.path(), 1, &like("c", &[])), &[&sum, found["noise_sha256"].as_str().unwrap(), "--noise"]);
    assert!(!dir.path().join("c").exists());
}

#[test]
fn records_that_cannot_be_followed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = sample(dir.path(), "out", &["--num", "1", "--steps", "2"]);
    let (file, bad) = (out.join("sample-00000.png"), dir.path().join("bad.png"));
    for (key, value, said) in [
        ("index", json!(u64::MAX), "which samples it shows"),
        ("index", json!(-1), "cannot be understood"),
        ("index", json!(null), "with `index`, which this program"),
        ("seed", json!([]), "list `seed` is empty"),
        ("seed", json!("x"), "cannot be understood"),
        ("steps", json!(0), "--steps 0"),
        ("steps", json!(100_000), "--steps 100000"),
        ("class", json!(400), "--class 400"),
        ("eta", json!(7), "--eta 7"),
        ("order", json!(9), "order 9"),
        ("spacing", json!("wide"), "`wide`"),
        ("image_size", json!([0, 8]), "image_size"),
        ("image_size", json!([16_384, 16_384]), "no memory"),
        ("sampler", json!("\u{1b}[2Jmagic"), "\\u{1b}[2Jmagic"),
        ("model", json!("\u{1b}[2Jm"), ""),
        ("strength", json!(0.5), "with `strength`, which this program"),
        ("picture", json!("training grid"), "only what `sample` has drawn"),
        ("stopped_after", json!(1), "was stopped"),
        ("weights_sha256", json!("00"), "and was 00"),
        ("karras", json!(true), "--karras true"),
    ] {
        with_record(&file, &bad, |record| drop(record.insert(key.to_owned(), value.clone())));
        let said_now = fail(dir.path(), 1, &["sample", "--like", "bad.png", "--out", "x", "--threads", "1"]);
        contains(&said_now, &[said]);
        assert!(!said_now.contains('\u{1b}'), "{said_now:?}");
        let info = succeed(dir.path(), &["info", "bad.png"]);
        assert!(!stdout(&info).contains('\u{1b}'));
    }
    assert!(!dir.path().join("x").exists());
}

#[test]
fn pictures_of_others_and_damaged_ones_are_told_from_ours() {
    let dir = tempfile::tempdir().unwrap();
    let out = sample(dir.path(), "out", &["--num", "1", "--steps", "1"]);
    let whole = fs::read(out.join("sample-00000.png")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    image::GrayImage::new(4, 4).save(dir.path().join("plain.png")).unwrap();
    let name = Path::new("theirs.png");
    let texts = Texts::none().with("parameters", "a cat").with("Software", "\u{1b}[31mred");
    write("theirs.png", &Raster::rgb8(name, [1, 1], vec![0; 3]).unwrap().to_png(name, &texts).unwrap());
    let texts = Texts::none().with(RECORD, "[1, 2").with("Software", "x");
    write("broken.png", &Raster::rgb8(name, [1, 1], vec![0; 3]).unwrap().to_png(name, &texts).unwrap());
    let deep = "[".repeat(500_000);
    write(
        "deep.png",
        &Raster::rgb8(name, [1, 1], vec![0; 3]).unwrap().to_png(name, &Texts::none().with(RECORD, deep)).unwrap(),
    );
    let texts = Texts::none().with(RECORD, "{}").with(RECORD, "{}");
    write("two.png", &Raster::rgb8(name, [1, 1], vec![0; 3]).unwrap().to_png(name, &texts).unwrap());
    write("empty.png", b"");
    write("text.png", b"this is no picture");
    write("short.png", &whole[..40]);
    for (file, said) in [
        ("plain.png", "plain.png does not say how it was made"),
        ("theirs.png", "its texts are `parameters`, `Software`"),
        ("broken.png", "text `sfumato` of broken.png is not what this program writes"),
        ("deep.png", "recursion limit"),
        ("two.png", "several texts `sfumato`"),
        ("empty.png", "empty.png is no PNG"),
        ("text.png", "text.png is no PNG"),
        ("short.png", "short.png is a damaged PNG: it ends too early"),
        ("none.png", "cannot read none.png"),
    ] {
        for args in [&["info", file][..], &["info", file, "--json"], &["sample", "--like", file, "--out", "x"]] {
            let found = fail(dir.path(), 1, args);
            contains(&found, &[said]);
            assert!(!found.contains('\u{1b}'));
        }
    }
    write("cut.png", &whole[..whole.len() - 20]);
    let info = succeed(dir.path(), &["info", "cut.png"]);
    contains(&stderr(&info), &["cut.png is damaged behind its record"]);
    contains(&stdout(&info), &["seed"]);
    // Its picture is made again; only that it is the same cannot be said.
    let said = stderr(&succeed(dir.path(), &["sample", "--like", "cut.png", "--out", "x"]));
    contains(&said, &["warning: x/sample-00000.png is another picture than cut.png"]);
    assert_eq!(fs::read(dir.path().join("x/sample-00000.png")).unwrap(), whole);
}

#[test]
fn grids_of_training_charts_and_points_say_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let run = common::train_tiny(dir.path(), "a", &["--steps", "2", "--sample-every", "2"]);
    let grid = record(&run.join("samples/step-0000002.png"));
    let version = json!(env!("CARGO_PKG_VERSION"));
    assert_eq!((&grid["picture"], &grid["step"], &grid["version"]), (&json!("training grid"), &json!(2), &version));
    let said = fail(dir.path(), 1, &["sample", "--like", "runs/a/samples/step-0000002.png", "--out", "x"]);
    contains(&said, &["is a training grid"]);
    succeed(dir.path(), &["schedule", "plot", "linear", "cosine", "--steps", "50", "--out", "chart.png"]);
    let chart = record(&dir.path().join("chart.png"));
    assert_eq!(
        (&chart["picture"], &chart["schedules"]),
        (&json!("chart"), &json!(["linear:steps=50", "cosine:steps=50"]))
    );
    contains(&stdout(&succeed(dir.path(), &["info", "chart.png"])), &["chart"]);

    let args: Vec<&str> = ["train", "--out", "runs/p", "--steps", "1"].iter().chain(common::POINTS).copied().collect();
    succeed(dir.path(), &args);
    let call =
        ["sample", "--model", "runs/p/model", "--num", "5..25", "--steps", "3", "--threads", "1", "--out", "points"];
    succeed(dir.path(), &call);
    let said = stderr(&succeed(dir.path(), &["sample", "--like", "points/scatter.png", "--out", "points-again"]));
    contains(&said, &["points-again/scatter.png is points/scatter.png again, byte for byte"]);
    let settings = |folder: &str| json(&dir.path().join(folder).join("sample.json"));
    assert_eq!(settings("points"), settings("points-again"));
}
