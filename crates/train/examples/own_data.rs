//! A data set of one's own in our training loop: `cargo run --release --example own_data`.

use std::{path::Path, sync::atomic::AtomicBool};

use burn::backend::{Autodiff, Flex};
use sfumato_data::Dataset;
use sfumato_train::{Outcome, Run, RunDir, Silent, TrainConfig, TrainError};

/// Grey pictures of 8×8 pixels with a bright bar, upright or lying: two classes.
struct Bars {
    classes: [String; 2],
}

impl Dataset for Bars {
    fn len(&self) -> usize {
        16
    }

    fn shape(&self) -> &[usize] {
        &[1, 8, 8]
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        for (pixel, value) in out.iter_mut().enumerate() {
            let place = if i < 8 { pixel % 8 } else { pixel / 8 };
            *value = if place == i % 8 { 1.0 } else { -1.0 };
        }
    }

    fn label(&self, i: usize) -> Option<usize> {
        Some(i / 8)
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn name(&self) -> &str {
        "bars"
    }
}

/// Trains a class-conditional U-Net on the bars; the run is written to `dir`.
pub(crate) fn train(dir: &Path, steps: u64) -> Result<Outcome, TrainError> {
    let data = Bars { classes: ["upright", "lying"].map(str::to_owned) };
    let mut config = TrainConfig::sized(&data, Default::default(), &[])?;
    config.model.set_class_conditional();
    config.training.steps = steps;
    let environment = serde_json::json!({ "program": "own_data" });
    let dir = RunDir::create(dir, &config, &environment)?;
    let stop = AtomicBool::new(false);
    let run = Run {
        config: &config,
        data: &data,
        dir: &dir,
        from: None,
        environment: &environment,
        stop: &stop,
        held_out: None,
        ranks: &sfumato_train::ranks::Alone,
    };
    run.train::<Autodiff<Flex>>(&Default::default(), &mut Silent)
}

#[allow(dead_code)] // a test calls `train`
fn main() -> Result<(), TrainError> {
    let outcome = train(Path::new("runs/bars"), 300)?;
    println!("{}", outcome.checkpoint.display());
    Ok(())
}
