//! How times grow with threads, batches and images, and what the other CPU backend makes of it.

use burn::backend::Flex;
use sfumato_bench::{
    measure::{in_pool, median, times},
    sampling::Sampling,
    training::Training,
    workload::Workload,
};

use super::{B, DEVICE};
use crate::Part;

/// Calls of each measurement, in rounds so that a noisy minute hits all alike.
const ROUNDS: usize = 5;

pub(crate) fn run(parts: &[Part]) -> anyhow::Result<()> {
    parts.iter().try_for_each(|part| match part {
        Part::Threads => threads(),
        Part::Batches => batches(),
        Part::Sizes => sizes(),
        Part::Backends => backends(),
    })
}

/// Median seconds of each closure, called in turns, each time after a call that is not counted: the one before left the caches, the
/// allocator and the threads to another's work.
fn interleaved(mut works: Vec<Box<dyn FnMut() + Send + '_>>) -> Vec<f64> {
    let mut seconds = vec![Vec::new(); works.len()];
    for round in 0..=ROUNDS {
        for (work, seconds) in works.iter_mut().zip(&mut seconds) {
            let time = times(1, 1, &mut *work);
            if round > 0 {
                seconds.extend(time); // the first round warms up
            }
        }
    }
    seconds.iter().map(|seconds| median(seconds)).collect()
}

fn threads() -> anyhow::Result<()> {
    println!("Threads: images/s of a training step and of an evaluation\n");
    println!("| network | work | 1 thread | 2 threads | ratio |\n| --- | --- | ---: | ---: | ---: |");
    for workload in Workload::all() {
        let mut training = in_pool(1, || Training::<B>::new(&workload, &DEVICE))??;
        let sampling = in_pool(1, || Sampling::<Flex>::new(&workload, &DEVICE))??;
        let mut seconds = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
        for round in 0..=ROUNDS {
            for threads in [1, 2] {
                let [step, evaluation] = in_pool(threads, || {
                    // The pool is new: one call more to wake it.
                    let step = times(1, 1, || training.step());
                    [step, times(1, 1, || sampling.evaluate())]
                })?;
                if round > 0 {
                    seconds[0][threads - 1].extend(step);
                    seconds[1][threads - 1].extend(evaluation);
                }
            }
        }
        for (work, seconds) in ["training step", "evaluation"].iter().zip(&seconds) {
            let [one, two] = [0, 1].map(|n| workload.batch as f64 / median(&seconds[n]));
            println!("| {} | {work} | {one:.1} | {two:.1} | {:.2} |", workload.name, two / one);
        }
    }
    println!();
    Ok(())
}

fn batches() -> anyhow::Result<()> {
    println!("Batch size: ms an image (small network)\n");
    let workloads = [8, 16, 32, 64, 128].map(|batch| Workload::small().with_batch(batch));
    table("batch", workloads, |workload| workload.batch, |workload| 1e3 / workload.batch as f64)
}

fn sizes() -> anyhow::Result<()> {
    // 64 images of 28×28 have the pixels of 3 of 128×128.
    let whole = [28, 32, 64, 128].map(|size| Workload::small().with_size(size).with_batch(64 * 784 / (size * size)));
    let without = whole.clone().map(Workload::without_attention);
    for (workloads, network) in [(without, "without attention"), (whole, "whole")] {
        println!("Image size: µs a pixel (small network, {network}, the same number of pixels in every batch)\n");
        let pixels = |workload: &Workload| (workload.batch * workload.size * workload.size) as f64;
        table("size", workloads, |workload| workload.size, |workload| 1e6 / pixels(workload))?;
    }
    Ok(())
}

/// A row a workload: the times of a training step and of an evaluation by `unit`, and by the median row.
fn table<const N: usize>(
    title: &str,
    workloads: [Workload; N],
    label: impl Fn(&Workload) -> usize,
    unit: impl Fn(&Workload) -> f64,
) -> anyhow::Result<()> {
    let seconds = in_pool(0, || -> anyhow::Result<_> {
        let mut trainings = Vec::new();
        let mut samplings = Vec::new();
        for workload in &workloads {
            trainings.push(Training::<B>::new(workload, &DEVICE)?);
            samplings.push(Sampling::<Flex>::new(workload, &DEVICE)?);
        }
        let steps = trainings.iter_mut().map(|training| Box::new(|| _ = training.step()) as _).collect();
        let evaluations = samplings.iter().map(|sampling| Box::new(|| drop(sampling.evaluate())) as _).collect();
        Ok([interleaved(steps), interleaved(evaluations)])
    })??;
    let columns: Vec<Vec<f64>> =
        seconds.iter().map(|column| column.iter().zip(&workloads).map(|(s, w)| s * unit(w)).collect()).collect();
    println!("| {title} | training step | to the median | evaluation | to the median |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for (row, workload) in workloads.iter().enumerate() {
        let [step, evaluation] = [0, 1].map(|n| (columns[n][row], columns[n][row] / median(&columns[n])));
        println!("| {} | {:.3} | {:.2} | {:.3} | {:.2} |", label(workload), step.0, step.1, evaluation.0, evaluation.1);
    }
    println!();
    Ok(())
}

#[cfg(feature = "ndarray")]
fn backends() -> anyhow::Result<()> {
    use burn::backend::{Autodiff, NdArray, ndarray::NdArrayDevice};

    println!("Backends: ms of a training step\n");
    println!("| network | flex | ndarray | ratio |\n| --- | ---: | ---: | ---: |");
    for workload in Workload::all() {
        let seconds = in_pool(0, || -> anyhow::Result<_> {
            let mut flex = Training::<B>::new(&workload, &DEVICE)?;
            let mut ndarray = Training::<Autodiff<NdArray>>::new(&workload, &NdArrayDevice::Cpu)?;
            Ok(interleaved(vec![Box::new(|| _ = flex.step()), Box::new(|| _ = ndarray.step())]))
        })??;
        let (flex, ndarray) = (1e3 * seconds[0], 1e3 * seconds[1]);
        println!("| {} | {flex:.1} | {ndarray:.1} | {:.2} |", workload.name, ndarray / flex);
    }
    println!();
    Ok(())
}

#[cfg(not(feature = "ndarray"))]
fn backends() -> anyhow::Result<()> {
    println!("Backends: built without the feature `ndarray`\n");
    Ok(())
}
