//! What is compared with other programs.

use std::path::Path;

use burn::backend::Flex;
use sfumato_bench::{
    batch::Batch,
    measure::{in_pool, peak_bytes, times},
    sampling::Sampling,
    training::{Training, network},
    workload::Workload,
};
use sfumato_model::pipeline::{AnyConfig, Facts, PipelineSpec, Scheduler};

use super::{B, DEVICE};
use crate::Timing;

pub(crate) fn prepare(workload: &Workload, dir: &Path) -> anyhow::Result<()> {
    let config = AnyConfig::UNet(workload.config.clone());
    let spec = PipelineSpec { config, scheduler: Scheduler::default(), facts: Facts::default() };
    spec.write(dir, &network::<Flex>(workload, &DEVICE)?)?;
    Batch::new(workload.shape()).write(dir)?;
    println!("parameters {}", workload.config.num_params());
    println!("batch {}", workload.batch);
    Ok(())
}

pub(crate) fn check(workload: &Workload) -> anyhow::Result<()> {
    let step = in_pool(0, || Training::<B>::new(workload, &DEVICE).map(|mut training| training.step()))??;
    println!("loss {}\ngrad_norm {}", step.loss, step.grad_norm);
    Ok(())
}

pub(crate) fn train(timing: Timing) -> anyhow::Result<()> {
    let workload = timing.workload();
    in_pool(0, || -> anyhow::Result<()> {
        let mut training = Training::<B>::new(&workload, &DEVICE)?;
        print_times(timing, || training.step());
        Ok(())
    })??;
    if let Some(bytes) = peak_bytes() {
        println!("peak_bytes {bytes}");
    }
    Ok(())
}

pub(crate) fn evaluate(timing: Timing) -> anyhow::Result<()> {
    let workload = timing.workload();
    in_pool(0, || -> anyhow::Result<()> {
        let sampling = Sampling::<Flex>::new(&workload, &DEVICE)?;
        print_times(timing, || sampling.evaluate());
        Ok(())
    })?
}

fn print_times<T>(timing: Timing, work: impl FnMut() -> T) {
    for seconds in times(timing.warm_up, timing.repetitions, work) {
        println!("seconds {seconds}");
    }
}
