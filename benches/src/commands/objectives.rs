//! What a training step costs by each loss, weight and density of noise levels, beside `simple`.

use burn::{module::AutodiffModule, tensor::ElementConversion};
use sfumato_bench::{
    batch::Batch,
    measure::{in_pool, median, processor_seconds},
    training::{network, optimizer_config},
    workload::Workload,
};
use sfumato_kernels::Adam;
use sfumato_nets::unet::UNet2D;
use sfumato_process::{
    DiffusionObjective, Loss, ModelVariance, Objective, Parameterization, Weight,
    bound::Decoder,
    times::{Density, HISTORY, TimeSampler},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, probability::LikelihoodCdf};

use super::{B, DEVICE, Inner};

/// Rounds in which all are measured in turns, after one that is not counted.
const ROUNDS: usize = 15;
/// Images in a batch. What an objective costs by itself counts more in a small batch than in a large one.
const BATCH: usize = 32;

pub(crate) fn run() -> anyhow::Result<()> {
    let measured = in_pool(1, || -> anyhow::Result<_> {
        let mut works = works()?;
        let mut seconds = vec![Vec::new(); works.len()];
        for round in 0..=ROUNDS {
            for i in 0..works.len() {
                // Nobody comes first in every round.
                let i = (i + round) % works.len();
                // The one before left the caches to another's work.
                works[i].step()?;
                let before = processor_seconds();
                works[i].step()?;
                let taken = before.zip(processor_seconds()).map_or(f64::NAN, |(before, after)| after - before);
                if round > 0 {
                    seconds[i].push(taken);
                }
            }
        }
        Ok(works.into_iter().map(|work| work.name).zip(seconds).collect::<Vec<_>>())
    })??;
    println!(
        "Objectives: processor time of a training step (small network, batch {BATCH}, one thread, {ROUNDS} rounds)\n"
    );
    println!(
        "| objective | fastest, ms | to `simple` | median, ms | to `simple` |\n| --- | ---: | ---: | ---: | ---: |"
    );
    let shown = |seconds: &[f64]| [seconds.iter().copied().fold(f64::INFINITY, f64::min), median(seconds)];
    let simple = shown(&measured[0].1);
    for (name, seconds) in &measured {
        let [fastest, middle] = shown(seconds);
        let [ms, middle_ms] = [fastest, middle].map(|seconds| 1e3 * seconds);
        println!("| {name} | {ms:.1} | {:.3} | {middle_ms:.1} | {:.3} |", fastest / simple[0], middle / simple[1]);
    }
    println!();
    Ok(())
}

/// `simple`, and then everything else.
fn works() -> anyhow::Result<Vec<Work>> {
    use {Density::*, ModelVariance::*};
    let weights = [Weight::Bound, Weight::MIN_SNR, Weight::P2, Weight::SIGMOID];
    let densities = [Stratified, Density::IMPORTANCE, Density::LOG_NORMAL, Density::LAPLACE];
    let simple = (FixedSmall, Loss::Simple, Weight::Simple, Uniform);
    let of_weights = weights.map(|weight| (FixedSmall, Loss::Simple, weight, Uniform));
    let of_densities = densities.map(|density| (FixedSmall, Loss::Simple, Weight::Simple, density));
    let learned = [Loss::Hybrid, Loss::Vlb].map(|loss| (LearnedRange, loss, Weight::Simple, Uniform));
    let all = [simple].into_iter().chain(of_weights).chain(of_densities).chain(learned);
    all.map(|(variance, loss, weight, density)| Work::new(variance, loss, weight, density)).collect()
}

/// A network in training, over and over on the same images.
struct Work {
    name: String,
    /// Taken out while the optimizer has it.
    net: Option<UNet2D<B>>,
    optimizer: Adam<Inner>,
    objective: DiffusionObjective,
    schedule: NoiseSchedule,
    times: TimeSampler,
    batch: Batch,
    step: u64,
}

impl Work {
    fn new(variance: ModelVariance, loss: Loss, weight: Weight, density: Density) -> anyhow::Result<Self> {
        let mut workload = Workload::small().with_batch(BATCH);
        let learned = variance.learned().is_some();
        workload.config.out_channels *= if learned { 2 } else { 1 };
        let net: UNet2D<B> = network(&workload, &DEVICE)?;
        let optimizer = Adam::new(&optimizer_config().adam(), &net.valid());
        let objective = DiffusionObjective {
            parameterization: Parameterization::Epsilon,
            variance,
            loss,
            weight,
            decoder: Decoder::Discretized(LikelihoodCdf::Exact),
        };
        let schedule = ScheduleConfig::default().build()?;
        let mut times = TimeSampler::new(density, &schedule)?;
        let t: Vec<usize> = (1..=schedule.steps()).collect();
        let losses: Vec<f64> = t.iter().map(|&t| 1.0 / t as f64).collect();
        (0..HISTORY).for_each(|_| times.record(&t, &losses));
        let name = match (loss, weight.is_simple(), density) {
            (Loss::Hybrid, ..) => "`hybrid`, learned range".to_owned(),
            (Loss::Vlb, ..) => "`vlb`, learned range".to_owned(),
            (Loss::Simple, false, _) => format!("weight `{}`", weight.name()),
            (Loss::Simple, true, Density::Uniform) => "`simple`, `uniform`".to_owned(),
            (Loss::Simple, true, density) => format!("density `{}`", density.name()),
        };
        let mut batch = Batch::new(workload.shape());
        // Of 256 levels, as pictures are.
        let level = |x: f32| (127.5 * (x + 1.0)).round().clamp(0.0, 255.0) / 127.5 - 1.0;
        batch.x_0.iter_mut().for_each(|x| *x = level(*x));
        Ok(Self { name, net: Some(net), optimizer, objective, schedule, times, batch, step: 0 })
    }

    /// As the trainer's step.
    fn step(&mut self) -> anyhow::Result<()> {
        let net = self.net.take().expect("every step puts the network back");
        let draws = self.times.draws(0, self.step * BATCH as u64, BATCH);
        let t: Vec<usize> = draws.iter().map(|draw| draw.t).collect();
        let [x_0, epsilon] = self.batch.tensors::<B>(&DEVICE);
        let losses = self.objective.losses(&self.schedule, &net, x_0, &t, epsilon)?;
        if self.times.learns() {
            let each: Vec<f64> = losses.to_data().iter::<f64>().collect();
            self.times.record(&t, &each);
        }
        let loss = if self.times.is_weighted() {
            let weights: Vec<f32> = draws.iter().map(|draw| draw.weight as f32).collect();
            (losses * burn::tensor::Tensor::from_floats(&weights[..], &DEVICE)).mean()
        } else {
            losses.mean()
        };
        let _: f64 = loss.clone().into_scalar().elem();
        self.step += 1;
        let rate = optimizer_config().learning_rate;
        self.net = Some(self.optimizer.step::<B, _>(net, &mut loss.backward(), self.step, rate).0);
        Ok(())
    }
}
