//! The share of the machine's arithmetic that a step uses.

use burn::backend::Flex;
use sfumato_bench::{
    cost::Cost,
    measure::{in_pool, median, times},
    sampling::Sampling,
    training::Training,
    workload::Workload,
};

use super::{B, DEVICE};

pub(crate) fn run(workload: &Workload, peak: f64) -> anyhow::Result<()> {
    let cost = Cost::of(&workload.config, workload.size)?;
    let batch = workload.batch as f64;
    let [step, evaluation] = in_pool(0, || -> anyhow::Result<_> {
        let mut training = Training::<B>::new(workload, &DEVICE)?;
        let step = median(&times(2, 7, || training.step()));
        drop(training);
        let sampling = Sampling::<Flex>::new(workload, &DEVICE)?;
        Ok([step, median(&times(2, 7, || sampling.evaluate()))])
    })??;
    let in_3x3 = cost.winograd + cost.upsampled;
    let all = (in_3x3 + cost.other) as f64;
    println!(
        "{}: {:.3} G multiply-adds an image, {:.1} % of them in 3x3 convolutions of stride 1",
        workload.name,
        all / 1e9,
        100.0 * in_3x3 as f64 / all
    );
    let least = batch * cost.least_seconds(peak * 1e9);
    for (what, seconds, least) in [("training step", step, 3.0 * least), ("evaluation", evaluation, least)] {
        println!(
            "{what:<14} {:8.1} ms   at the Winograd ceiling {:7.1} ms   {:5.1} % of it",
            1e3 * seconds,
            1e3 * least,
            100.0 * least / seconds
        );
    }
    Ok(())
}
