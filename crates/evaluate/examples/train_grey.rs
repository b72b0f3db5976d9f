//! Trains the classifier whose features the distances of grey pictures use, on the whole training set of Fashion-MNIST:
//!
//! ```text
//! cargo run --release -p sfumato-evaluate -p sfumato-cli --example train_grey -- crates/evaluate/data/grey-28.safetensors
//! ```
//!
//! It takes about ten minutes on two cores. The order of the pictures, their mirror images and the first weights depend on the seed alone.

use std::{error::Error, path::Path, time::Instant};

use burn::{
    backend::{Autodiff, Flex},
    module::AutodiffModule,
    tensor::{ElementConversion, Int, Tensor, TensorData, activation::log_softmax},
};
use sfumato_data::{Dataset, DatasetSpec, EpochSampler, LoadOptions, LoadedDataset, Split, load, mirror};
use sfumato_evaluate::features::{GREY_CLASSES, GreyNet, grey_pictures};
use sfumato_kernels::{Adam, AdamOptions};
use sfumato_model::{params::write_parameters_as, tensor_file::Precision};
use sfumato_nets::params::RandomParams;

type Train = Autodiff<Flex>;

const SEED: u64 = 0;
const EPOCHS: usize = 6;
const BATCH: usize = 100;
const RATE: f64 = 3e-3;
const WARM_UP: f64 = 200.0;
const SMOOTHING: f32 = 0.05;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("say where to write the weights: FILE.safetensors")?;
    let data = |split| load(&DatasetSpec::FashionMnist, &LoadOptions { split, ..LoadOptions::default() });
    let (train, test) = (data(Split::Train)?, data(Split::Test)?);
    let net = trained(&train)?;
    write_parameters_as(&net, Path::new(&path), Precision::F16)?;
    println!("{path}: SHA-256 {}", sfumato_files::file_sha256(Path::new(&path))?);
    // As it was written: rounded to half precision.
    let mut stored = sfumato_model::params::FileParams::open(Path::new(&path))?;
    let net = GreyNet::<Flex>::build(&mut stored, &Default::default())?;
    println!("accuracy on the {} test pictures: {:.4}", test.len(), accuracy(&net, &test));
    Ok(())
}

/// The averaged weights after all epochs.
fn trained(data: &LoadedDataset) -> Result<GreyNet<Flex>, Box<dyn Error>> {
    let device = Default::default();
    let mut net = GreyNet::<Train>::build(&mut RandomParams::new(SEED), &device)?;
    let options = AdamOptions { ema_decay: 0.998, weight_decay: 0.02, clip_norm: 1.0, ..AdamOptions::default() };
    let mut adam = Adam::new(&options, &net.valid());
    let sampler = EpochSampler::new(SEED, data.len());
    let steps = data.len() / BATCH * EPOCHS;
    let start = Instant::now();
    let mut mean = 0.0;
    for step in 1..=steps {
        let (pictures, targets) = batch(data, &sampler, (step - 1) * BATCH);
        let logits = net.logits(net.features(grey_pictures(pictures, &device)));
        let targets = Tensor::<Train, 2>::from_data(TensorData::new(targets, [BATCH, GREY_CLASSES]), &device);
        let loss = -(log_softmax(logits, 1) * targets).sum() / BATCH as f64;
        mean += loss.clone().into_scalar().elem::<f64>() / 100.0;
        // A linear start, then half a cosine down to nothing.
        let rate = RATE * (step as f64 / WARM_UP).min(1.0);
        let rate = rate * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
        (net, _) = adam.step::<Train, _>(net, &mut loss.backward(), step as u64, rate);
        if step % 100 == 0 {
            println!("step {step} of {steps}: loss {mean:.4}, {:.0} s", start.elapsed().as_secs_f64());
            mean = 0.0;
        }
    }
    Ok(adam.averaged(net.valid()))
}

/// Pictures, half of them mirrored, and the wanted probability of each class.
fn batch(data: &LoadedDataset, sampler: &EpochSampler, first: usize) -> (Vec<f32>, Vec<f32>) {
    let mut pictures = vec![0.0; BATCH * data.example_len()];
    let mut targets = vec![SMOOTHING / GREY_CLASSES as f32; BATCH * GREY_CLASSES];
    for (place, picture) in pictures.chunks_exact_mut(data.example_len()).enumerate() {
        let draw = (first + place) as u64;
        let i = sampler.index(draw);
        data.write(i, picture);
        if sampler.flip(draw) {
            mirror(data.shape(), picture);
        }
        let class = data.label(i).expect("Fashion-MNIST has labels");
        targets[place * GREY_CLASSES + class] += 1.0 - SMOOTHING;
    }
    (pictures, targets)
}

/// The share of pictures whose class has the best odds.
fn accuracy(net: &GreyNet<Flex>, data: &LoadedDataset) -> f64 {
    let mut right = 0;
    for first in (0..data.len()).step_by(BATCH) {
        let examples: Vec<usize> = (first..(first + BATCH).min(data.len())).collect();
        let mut pictures = vec![0.0; examples.len() * data.example_len()];
        for (&i, picture) in examples.iter().zip(pictures.chunks_exact_mut(data.example_len())) {
            data.write(i, picture);
        }
        let features = net.features(grey_pictures(pictures, &Default::default()));
        let found: Tensor<Flex, 2, Int> = net.logits(features).argmax(1);
        let found = found.into_data().convert::<i64>().into_vec::<i64>().expect("the data was just converted to i64");
        right += examples.iter().zip(found).filter(|&(&i, found)| data.label(i) == Some(found as usize)).count();
    }
    right as f64 / data.len() as f64
}
