//! A stranger's first hour: pictures as a phone, a scanner and a browser leave them, through every command.
//!
//! What the program said is written to `strangers-hour.txt` in cargo's folder for temporary files of tests, to be read as a stranger
//! would.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, read_npy, run, sfumato, stderr, stdout};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// What was asked and what was said.
struct Transcript(String);

impl Transcript {
    /// Runs the program and writes down what it says. It must end well.
    fn run(&mut self, dir: &Path, args: &[&str]) -> Output {
        let output = run(dir, args);
        self.add(args, &output);
        assert!(output.status.success(), "{args:?} ended with {}:\n{}", output.status, stderr(&output));
        output
    }

    fn add(&mut self, args: &[&str], output: &Output) {
        let said = stderr(output);
        assert!(!said.contains("panicked"), "{args:?} panicked:\n{said}");
        writeln!(self.0, "$ sfumato {}\n{said}{}\n", args.join(" "), stdout(output)).unwrap();
    }
}

/// A picture with something to see: a gradient with a disc whose place depends on `i`.
fn picture(width: u32, height: u32, i: u32) -> RgbImage {
    let centre = [(i * 37) % width, (i * 53) % height].map(i64::from);
    let radius = i64::from(width.min(height)) / 4;
    RgbImage::from_fn(width, height, |x, y| {
        let [dx, dy] = [i64::from(x) - centre[0], i64::from(y) - centre[1]];
        if dx * dx + dy * dy < radius * radius {
            Rgb([230, 60, (i * 40 % 256) as u8])
        } else {
            Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, 90])
        }
    })
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG as phones write it: with an Exif segment that says how it was held, and a film behind its end.
fn from_a_phone(width: u32, height: u32, i: u32) -> Vec<u8> {
    let jpeg = encoded(&picture(width, height, i).into(), ImageFormat::Jpeg);
    // Big-endian TIFF with one entry: tag 0x0112 (orientation), a short, 6: to be turned by a quarter.
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1];
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes.extend(b"\0\0\0\x18ftypmp42");
    bytes.extend((0..20_000_u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8));
    bytes
}

/// The folders of three sources, with what else lies in such folders. Returns how many pictures can be read.
fn pictures(root: &Path) -> usize {
    let [phone, scanner, browser] = ["phone", "scanner", "browser"].map(|name| root.join(name));
    [&phone, &scanner, &browser].into_iter().for_each(|dir| fs::create_dir_all(dir).unwrap());
    let mut count = 0;
    let mut save = |path: std::path::PathBuf, bytes: Vec<u8>| {
        fs::write(path, bytes).unwrap();
        count += 1;
    };
    for i in 0..3 {
        save(phone.join(format!("IMG_{i:04}.JPG")), from_a_phone(2000, 1500, i));
        save(phone.join(format!("pano {i}.jpeg")), from_a_phone(1200, 300, i));
    }
    for i in 0..2 {
        let grey = image::ImageBuffer::from_fn(600, 800, |x, y| image::Luma([(x * y % 65_536) as u16]));
        save(scanner.join(format!("scan{i}.png")), encoded(&DynamicImage::ImageLuma16(grey), ImageFormat::Png));
        save(scanner.join(format!("Scan {i}.TIF")), encoded(&picture(640, 480, i).into(), ImageFormat::Tiff));
        save(scanner.join(format!("fax{i}.bmp")), encoded(&picture(99, 101, i).into(), ImageFormat::Bmp));
    }
    for i in 0..2 {
        save(browser.join(format!("image({i}).webp")), encoded(&picture(320, 200, i).into(), ImageFormat::WebP));
        save(browser.join(format!("anim{i}.gif")), encoded(&picture(48, 48, i).into(), ImageFormat::Gif));
        let disc = RgbaImage::from_fn(16, 16, |x, y| {
            let inside = (x as i32 - 8).pow(2) + (y as i32 - 8).pow(2) < 30;
            if inside { Rgba([20, 120, 40, 255]) } else { Rgba([0, 0, 0, 0]) }
        });
        save(browser.join(format!("icon{i}.png")), encoded(&disc.into(), ImageFormat::Png));
        // A download whose name lies.
        save(browser.join(format!("photo{i}.png")), encoded(&picture(128, 96, i).into(), ImageFormat::Jpeg));
    }
    save(browser.join("dot.png"), encoded(&GrayImage::new(1, 1).into(), ImageFormat::Png));
    // What lies beside pictures.
    let whole = encoded(&picture(64, 64, 9).into(), ImageFormat::Jpeg);
    fs::write(browser.join("half-loaded.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(browser.join("not-found.png"), "<!DOCTYPE html><title>404</title>").unwrap();
    fs::write(browser.join("logo.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    fs::write(phone.join("Thumbs.db"), [0; 512]).unwrap();
    fs::write(root.join(".DS_Store"), [0; 64]).unwrap();
    count
}

/// Starts a training and stops it as Ctrl-C does, once its first step is done.
#[cfg(unix)]
fn train_and_stop(dir: &Path, transcript: &mut Transcript, run: &Path, args: &[&str]) {
    let child = sfumato(dir).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while fs::metadata(run.join("metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    transcript.add(args, &output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("stopped at step"), "{}", stderr(&output));
}

/// The run as somebody moves it: another folder, and no links.
fn move_run(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { move_run(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

/// Draws three pictures of a class, by every sampler, in few steps and in many.
#[cfg(unix)]
fn draw_with_every_sampler(dir: &Path, transcript: &mut Transcript, model: &str) {
    for sampler in ["ddpm", "ddim", "dpm-solver++", "euler", "heun"] {
        for steps in ["1", "2", "7", "50", "1000"] {
            let out = format!("drawn/{sampler}-{steps}");
            draw(dir, transcript, model, [sampler, steps], &out);
            let (shape, values) = read_npy(&dir.join(&out).join("samples.npy"));
            assert_eq!(shape, [3, 3, 32, 32]);
            assert!(values.iter().all(|value| value.is_finite()), "{sampler} with {steps} steps");
            assert!(dir.join(&out).join("grid.png").is_file());
        }
    }
}

#[cfg(unix)]
fn draw(dir: &Path, transcript: &mut Transcript, model: &str, [sampler, steps]: [&str; 2], out: &str) {
    let how = ["--sampler", sampler, "--steps", steps, "--num", "3", "--class", "phone"];
    transcript.run(dir, &[&["sample", "--model", model][..], &how, &["--out", out]].concat());
}

#[cfg(unix)]
#[test]
fn mixed_pictures_go_through_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let count = pictures(&dir.join("pictures"));
    let mut transcript = Transcript(String::new());

    // The network that nobody chose, on pictures of any size.
    let first = transcript.run(
        dir,
        &["train", "--dataset", "folder:pictures", "--steps", "2", "--batch-size", "4", "--out", "runs/first"],
    );
    let said = stderr(&first);
    assert!(said.contains(&format!("{count} examples")), "{count} pictures can be read:\n{said}");
    assert!(said.contains("2 ") && said.contains("left out"), "two files are broken:\n{said}");
    assert!(said.contains("transparent"), "the icons are transparent in places:\n{said}");
    transcript.run(dir, &["sample", "--model", "runs/first/model", "--num", "2", "--steps", "2", "--out", "first"]);

    // A small network with classes: stopped, moved, resumed.
    let tiny = |name: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        let start =
            ["train", "--dataset", "folder:pictures", "--image-size", "32", "--class-conditional", "--out", name];
        start.iter().chain(TINY).chain(more).copied().collect()
    };
    let steps = ["--steps", "60", "--sample-every", "0"];
    transcript.run(dir, &tiny("runs/whole", &steps));
    let run = dir.join("runs/hour");
    train_and_stop(dir, &mut transcript, &run, &tiny("runs/hour", &steps));
    move_run(&run, &dir.join("disk/elsewhere/hour"));
    fs::remove_dir_all(&run).unwrap();
    transcript.run(dir, &["train", "--resume", "disk/elsewhere/hour"]);
    let weights =
        |run: &str| fs::read(dir.join(run).join("checkpoints/step-0000060/training/weights.safetensors")).unwrap();
    assert!(
        weights("runs/whole") == weights("disk/elsewhere/hour"),
        "stopped and moved, a run ends with other weights"
    );
    let model = "disk/elsewhere/hour/checkpoints/step-0000060";

    transcript.run(dir, &["info", model]);
    draw_with_every_sampler(dir, &mut transcript, model);
    let scored = transcript
        .run(dir, &["eval", "--model", model, "--dataset", "folder:pictures", "--steps", "10", "--json", "score.json"]);
    let score: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("score.json")).unwrap()).unwrap();
    assert!(score["total"]["bits_per_dim"].as_f64().unwrap().is_finite());
    assert!(stdout(&scored).contains("resized"), "{}", stdout(&scored));

    transcript.run(dir, &["export", "--model", model, "--out", "exported"]);
    transcript.run(dir, &["info", "exported"]);
    draw(dir, &mut transcript, "exported", ["ddim", "7"], "again");
    assert!(
        read_npy(&dir.join("again/samples.npy")) == read_npy(&dir.join("drawn/ddim-7/samples.npy")),
        "exported, a model draws other pictures"
    );

    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("strangers-hour.txt"), transcript.0).unwrap();
}
