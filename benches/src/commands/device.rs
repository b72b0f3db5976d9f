//! Times on an accelerator.

use std::time::Instant;

use burn::{backend::Autodiff, tensor::Tensor};
use clap::ValueEnum;
use sfumato_bench::{measure::in_pool, sampling::Sampling, training::Training, workload::Workload};
use sfumato_kernels::{Backend, Scalar};

use crate::{Timing, kernel_settings};

/// Blocks of calls: a device is waited for at the end of each.
const BLOCKS: usize = 3;

/// The accelerators.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeviceName {
    Cuda,
    Wgpu,
    Vulkan,
    Metal,
    Rocm,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeviceWork {
    Train,
    Evaluate,
}

pub(crate) fn run(name: DeviceName, work: DeviceWork, timing: Timing) -> anyhow::Result<()> {
    if let Some(folder) = kernel_settings::empty_folder() {
        eprintln!("kernels are compiled and tuned for this device now, and kept in {}", folder.display());
    }
    kernel_settings::settle();
    match name {
        #[cfg(feature = "cuda")]
        DeviceName::Cuda => measure::<burn::backend::Cuda>(work, timing),
        #[cfg(feature = "wgpu")]
        DeviceName::Wgpu => measure::<burn::backend::Wgpu>(work, timing),
        #[cfg(feature = "vulkan")]
        DeviceName::Vulkan => measure::<burn::backend::Vulkan>(work, timing),
        #[cfg(feature = "metal")]
        DeviceName::Metal => measure::<burn::backend::Metal>(work, timing),
        #[cfg(feature = "rocm")]
        DeviceName::Rocm => measure::<burn::backend::Rocm>(work, timing),
        #[allow(unreachable_patterns)] // with every feature on, nothing is left
        other => anyhow::bail!("the backend {other:?} is not compiled in"),
    }
}

/// Prints the seconds of a call, a line for each block of calls.
fn measure<B: Backend>(work: DeviceWork, timing: Timing) -> anyhow::Result<()> {
    let workload = timing.workload();
    in_pool(0, || match work {
        DeviceWork::Train => train::<B>(&workload, timing),
        DeviceWork::Evaluate => evaluate::<B>(&workload, timing),
    })?
}

fn train<B: Backend>(workload: &Workload, timing: Timing) -> anyhow::Result<()> {
    let mut training = Training::<Autodiff<B>>::new(workload, &Default::default())?;
    let first = Scalar::read_all(training.step_unread().into());
    println!("loss {}\ngrad_norm {}", first[0], first[1]);
    (1..timing.warm_up).for_each(|_| drop(Scalar::read_all(training.step_unread().into())));
    blocks(timing.repetitions, || {
        let mut found = None;
        for _ in 0..timing.repetitions {
            found = Some(training.step_unread());
        }
        // The device has done all steps when it gives a number of the last one.
        found.into_iter().for_each(|found| drop(Scalar::read_all(found.into())));
    });
    Ok(())
}

fn evaluate<B: Backend>(workload: &Workload, timing: Timing) -> anyhow::Result<()> {
    let sampling = Sampling::<B>::new(workload, &Default::default())?;
    let wait = |y: Tensor<B, 4>| drop(y.slice([0..1, 0..1, 0..1, 0..1]).into_data());
    (0..timing.warm_up).for_each(|_| wait(sampling.evaluate()));
    blocks(timing.repetitions, || {
        let mut found = None;
        for _ in 0..timing.repetitions {
            found = Some(sampling.evaluate());
        }
        found.into_iter().for_each(wait);
    });
    Ok(())
}

fn blocks(calls: usize, mut block: impl FnMut()) {
    for _ in 0..BLOCKS {
        let start = Instant::now();
        block();
        println!("seconds {}", start.elapsed().as_secs_f64() / calls.max(1) as f64);
    }
}
