//! The swiss roll: what an MLP learns in seconds must look like the data to a two-sample statistic.

mod common;

use common::{read_npy, succeed};
use sfumato_data::{Dataset, DatasetSpec, LoadOptions, Toy, load};

/// Points of each sample that are compared.
const N: usize = 4000;
/// Energy distance below which samples count as matching. Two samples of the data itself are 0.001 to 0.003 apart.
const MATCH: f64 = 0.01;

fn data(seed: u64) -> Vec<[f64; 2]> {
    let options = LoadOptions { seed, toy_size: N, ..LoadOptions::default() };
    let data = load(&DatasetSpec::Toy(Toy::SwissRoll), &options).unwrap();
    let mut point = [0.0; 2];
    (0..N)
        .map(|i| {
            data.write(i, &mut point);
            point.map(f64::from)
        })
        .collect()
}

fn mean_distance(a: &[[f64; 2]], b: &[[f64; 2]]) -> f64 {
    let sum: f64 = a.iter().map(|p| b.iter().map(|q| (p[0] - q[0]).hypot(p[1] - q[1])).sum::<f64>()).sum();
    sum / (a.len() * b.len()) as f64
}

/// `2 E|X - Y| - E|X - X'| - E|Y - Y'|` (Székely & Rizzo 2013): 0 only for equal distributions.
fn energy_distance(a: &[[f64; 2]], b: &[[f64; 2]]) -> f64 {
    2.0 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)
}

fn samples(dir: &std::path::Path, model: &str, sampler: &[&str]) -> Vec<[f64; 2]> {
    let n = N.to_string();
    let args = ["sample", "--model", model, "--num", &n, "--batch-size", &n, "--out", "out", "--overwrite"];
    succeed(dir, &args.iter().chain(sampler).copied().collect::<Vec<_>>());
    let (shape, values) = read_npy(&dir.join("out/samples.npy"));
    assert_eq!(shape, [N as u64, 2]);
    assert!(dir.join("out/scatter.png").is_file());
    values.chunks_exact(2).map(|point| [point[0].into(), point[1].into()]).collect()
}

#[test]
fn the_swiss_roll_is_learned_and_an_untrained_model_has_not_learned_it() {
    let dir = tempfile::tempdir().unwrap();
    let truth = data(1);
    let noise_floor = energy_distance(&truth, &data(2));
    assert!(noise_floor < MATCH / 2.0, "the statistic itself: {noise_floor}");

    let quick = ["--sample-every", "0", "--set", "samples.num=100", "--set", "samples.steps=5"];
    let train = |name: &str, steps: &str| {
        let out = format!("runs/{name}");
        let args = ["train", "--preset", "swiss-roll", "--steps", steps, "--out", &out];
        succeed(dir.path(), &args.iter().chain(&quick).copied().collect::<Vec<_>>());
        format!("{out}/model")
    };
    let untrained = train("untrained", "1");
    let distance = energy_distance(&truth, &samples(dir.path(), &untrained, &["--steps", "200"]));
    assert!(distance > 10.0 * MATCH, "untrained: {distance}");

    let trained = train("trained", "1500");
    for sampler in [&["--steps", "200"][..], &["--sampler", "ddim"]] {
        let distance = energy_distance(&truth, &samples(dir.path(), &trained, sampler));
        assert!(distance < MATCH, "{sampler:?}: {distance}");
    }
}
