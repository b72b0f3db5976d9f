//! Sampling through the program.

mod common;

use common::{fail, read_npy, succeed, train_tiny};

#[test]
fn the_same_seed_gives_the_same_samples_for_any_batch_size_and_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "3", "--sample-every", "0"]);
    let model = run.join("model");
    let sample = |out: &str, args: &[&str]| {
        let model = model.to_str().unwrap();
        let all = ["sample", "--model", model, "--num", "64", "--seed", "5", "--overwrite", "--out", out];
        succeed(dir.path(), &all.iter().chain(args).copied().collect::<Vec<_>>());
        let (shape, values) = read_npy(&dir.path().join(out).join("samples.npy"));
        assert_eq!(shape, [64, 1, 28, 28]);
        assert!(values.iter().all(|value| value.is_finite()));
        values
    };
    for sampler in [&["--sampler", "ddim", "--steps", "5"][..], &["--sampler", "ddpm", "--steps", "5"]] {
        let reference = sample("reference", &[sampler, &["--batch-size", "64"]].concat());
        for (batch, threads) in [("1", "1"), ("7", "2"), ("64", "1"), ("64", "2")] {
            let other = sample("other", &[sampler, &["--batch-size", batch, "--threads", threads]].concat());
            let difference = reference.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 1e-5, "batch {batch}, {threads} threads: {difference}");
        }
    }
}

#[test]
fn sampling_leaves_an_array_a_grid_and_single_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let model = run.join("model");
    succeed(
        dir.path(),
        &["sample", "--model", model.to_str().unwrap(), "--num", "3", "--steps", "4", "--gif", "--out", "out"],
    );
    let out = dir.path().join("out");
    let (shape, values) = read_npy(&out.join("samples.npy"));
    assert_eq!(shape, [3, 1, 28, 28]);
    let grid = image::open(out.join("grid.png")).unwrap();
    assert!(grid.width() > 3 * 28 && grid.height() > 28);
    for i in 0..3 {
        let picture = image::open(out.join(format!("sample-{i:05}.png"))).unwrap().to_luma8();
        assert_eq!(picture.dimensions(), (28, 28));
        for (pixel, value) in picture.pixels().zip(&values[i * 784..]) {
            let expected = ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round();
            assert!((f32::from(pixel.0[0]) - expected).abs() <= 1.0);
        }
    }
    assert!(!out.join("sample-00003.png").exists());
    let gif = std::fs::read(out.join("denoising.gif")).unwrap();
    assert_eq!(&gif[..4], b"GIF8");
}

#[test]
fn recorded_noise_replaces_the_random_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "a", &["--steps", "1", "--sample-every", "0"]);
    let model = run.join("model");
    let sample = |out: &str, args: &[&str]| {
        let all = [
            "sample",
            "--model",
            model.to_str().unwrap(),
            "--num",
            "2",
            "--steps",
            "3",
            "--sampler",
            "ddpm",
            "--out",
            out,
        ];
        succeed(dir.path(), &all.iter().chain(args).copied().collect::<Vec<_>>());
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    // The program's own noise, recorded: x_T, then one entry for each of the two noisy steps, and one too many.
    let mut noise = Vec::new();
    for draw in 0..4 {
        for sample in 0..2 {
            let mut values = vec![0.0; 784];
            sfumato_process::noise::fill_normal(
                9,
                sfumato_process::noise::Purpose::Sampling,
                sample,
                draw,
                &mut values,
            );
            noise.extend(values);
        }
    }
    let file = dir.path().join("noise.npy");
    sfumato_files::write_npy_f32(&file, &[4, 2, 1, 28, 28], &noise).unwrap();
    assert_eq!(sample("replayed", &["--noise", "noise.npy"]), sample("seeded", &["--seed", "9"]));

    sfumato_files::write_npy_f32(&file, &[2, 2, 1, 28, 28], &noise[..2 * 2 * 784]).unwrap();
    let args = [
        "sample",
        "--model",
        model.to_str().unwrap(),
        "--num",
        "2",
        "--steps",
        "3",
        "--sampler",
        "ddpm",
        "--out",
        "x",
        "--noise",
        "noise.npy",
    ];
    let said = fail(dir.path(), 1, &args);
    assert!(said.contains("noise.npy") && said.contains("2 entries"), "{said}");
}
