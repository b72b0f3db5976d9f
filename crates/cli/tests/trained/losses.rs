//! The loss of single predictions, from almost no noise to almost nothing else, against PyTorch in float64.

use burn::backend::Flex;
use sfumato_data::{Dataset, DatasetSpec, LoadOptions, Values, load};
use sfumato_model::{Model, NoisedBatch};

use crate::golden::{MODELS, REFERENCES, noise, path};

/// Largest difference of the loss of one picture; losses are at most about 1.
const TOLERANCE: f64 = 1e-5;

#[test]
fn losses_at_every_level_of_noise() {
    let spec: DatasetSpec = format!("npy:{}", path("test.npz")).parse().unwrap();
    let data = load(&spec, &LoadOptions::default()).unwrap();
    let Values::U8(pixels) = data.values() else { panic!("pictures are bytes") };
    let x_0: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 127.5 - 1.0).collect();
    let steps = REFERENCES.json["loss_steps"].as_array().unwrap();
    assert!(steps.len() >= 9);
    for name in MODELS {
        let model = Model::<Flex>::open(path(name)).unwrap();
        for (step, expected) in steps.iter().zip(REFERENCES.json["scores"][name]["losses"].as_array().unwrap()) {
            let t = step.as_u64().unwrap() as usize;
            let (epsilon, steps) = (noise(t, data.len()), vec![t; data.len()]);
            let batch = NoisedBatch { x_0: &x_0, epsilon: &epsilon, steps: &steps, classes: None };
            let found = model.noise_losses(&batch).unwrap();
            let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
            assert_eq!(found.len(), expected.len());
            let differences = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
            let difference = differences.fold(0.0, f64::max);
            println!("{name}, step {t}: {difference:.1e} of {:.4}", expected[0]);
            assert!(difference <= TOLERANCE && found.iter().all(|loss| loss.is_finite()), "{name}, step {t}");
        }
    }
}
