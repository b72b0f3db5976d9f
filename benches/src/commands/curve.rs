//! The losses of a short run of the trainer on the embedded images.

use std::{path::Path, sync::atomic::AtomicBool};

use burn::{
    backend::Flex,
    tensor::{FloatDType, IntDType, set_default_dtypes},
};
use sfumato_bench::measure::in_pool;
use sfumato_train::{Metrics, Run, RunDir, TrainConfig, TrainState, Watch, config::ModelConfig};

use super::{B, DEVICE};

/// Prints `loss X` for every step.
pub(crate) fn run(composed: bool, steps: u64) -> anyhow::Result<()> {
    if composed {
        set_default_dtypes::<Flex>(&DEVICE, FloatDType::F64, IntDType::I32)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    }
    let mut config = TrainConfig::layered(Some("fashion-mnist-mini"), None, &[])?;
    config.training.steps = steps;
    config.training.batch_size = 8; // double precision is slow
    config.training.max_minutes = 0.0;
    config.optimizer.warmup_steps = steps / 2;
    config.samples.num = 1;
    config.samples.steps = 1;
    config.samples.every = 0;
    if let ModelConfig::Unet(unet) = &mut config.model {
        unet.channels = vec![16, 32, 32];
    }
    let data = sfumato_data::load(&config.data.dataset, &sfumato_data::LoadOptions::default())?;
    let folder = tempfile::tempdir()?;
    let environment = serde_json::json!({});
    let dir = RunDir::create(&folder.path().join("curve"), &config, &environment)?;
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
    in_pool(0, || run.train::<B>(&DEVICE, &mut Print))??;
    Ok(())
}

/// Prints losses and looks away otherwise.
struct Print;

impl Watch for Print {
    fn begin(&mut self, _: &TrainState, _: usize) {}

    fn step(&mut self, _: &TrainState, loss: f64) {
        println!("loss {loss}");
    }

    fn metrics(&mut self, _: &Metrics) {}
    fn checkpoint(&mut self, _: &Path) {}
    fn sampling(&mut self, _: usize, _: usize) {}
    fn samples(&mut self, _: &Path) {}
}
