//! Training by the bound finds the variance that is known to be the best: Gaussian data, whose reverse steps are Gaussians with a
//! covariance in closed form.

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    module::AutodiffModule,
    tensor::{Tensor, TensorData},
};
use rand::RngExt;
use sfumato_kernels::Adam;
use sfumato_nets::{
    Call,
    mlp::{Mlp, MlpConfig},
    params::RandomParams,
};
use sfumato_process::{
    Chain, DiffusionObjective, Loss, ModelVariance, Objective, Parameterization, StepVariance,
    bound::Decoder,
    noise::{Purpose, fill_normal, stream},
    objective::Weight,
};
use sfumato_schedule::NoiseSchedule;
use sfumato_train::{
    config::{LearningRateDecay, OptimizerConfig},
    learning_rate::learning_rate,
};

type Train = Autodiff<Flex>;

const STEPS: u64 = 2500;
const BATCH: usize = 256;
/// Mean and standard deviation of each dimension of the data.
const DATA: [(f64, f64); 2] = [(0.3, 0.2), (-0.4, 0.7)];

fn schedule() -> NoiseSchedule {
    NoiseSchedule::from_betas((0..10).map(|i| 0.05 + 0.05 * f64::from(i)).collect()).unwrap()
}

fn trained(variance: ModelVariance, loss: Loss) -> Mlp<Flex> {
    let schedule = schedule();
    let constants = OptimizerConfig {
        learning_rate: 3e-3,
        warmup_steps: 50,
        decay: LearningRateDecay::Cosine,
        ema_decay: 0.99,
        ..OptimizerConfig::default()
    };
    let config = MlpConfig {
        hidden_dim: 48,
        num_blocks: 1,
        learned_variance: variance.learned().is_some(),
        ..Default::default()
    };
    let parameterization = Parameterization::Epsilon;
    let objective =
        DiffusionObjective { parameterization, variance, loss, weight: Weight::Simple, decoder: Decoder::Gaussian };
    let mut net: Mlp<Train> = config.build(&mut RandomParams::new(3), &FlexDevice).unwrap();
    let mut optimizer = Adam::new(&constants.adam(), &net.valid());
    for step in 1..=STEPS {
        let normal = |purpose| {
            let mut values = vec![0.0; BATCH * 2];
            fill_normal(1, purpose, step, 0, &mut values);
            values
        };
        let at = |values: Vec<f32>| Tensor::<Train, 2>::from_data(TensorData::new(values, [BATCH, 2]), &FlexDevice);
        let x_0 = normal(Purpose::Forward)
            .iter()
            .enumerate()
            .map(|(i, z)| (DATA[i % 2].0 + DATA[i % 2].1 * f64::from(*z)) as f32)
            .collect();
        let mut rng = stream(1, Purpose::TrainingStep, step, 0);
        let t: Vec<usize> = (0..BATCH).map(|_| rng.random_range(1..=schedule.steps())).collect();
        let call = Call { net: &net, classes: None, dropout: None };
        let losses = objective.losses(&schedule, &call, at(x_0), &t, at(normal(Purpose::Training))).unwrap();
        let mut gradients = losses.mean().backward();
        let rate = learning_rate(&constants, step, STEPS);
        net = optimizer.step::<Train, _>(net, &mut gradients, step, rate).0;
    }
    optimizer.averaged(net.valid())
}

/// What a model lacks: `Σ_t E KL(q(x_{t-1} | x_t) ‖ p_θ(x_{t-1} | x_t))`, which is its bound minus that of the exact reverse chain, in
/// nats, and the largest error of its log-variance.
fn lacks(net: &Mlp<Flex>, variance: ModelVariance) -> (f64, f64) {
    const N: usize = 1000;
    let schedule = schedule();
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    let chain = match (variance.fixed(), variance.learned()) {
        (Some(rule), _) => chain.with_variance(rule),
        (None, kind) => chain.with_learned(kind.unwrap()),
    };
    let call = Call { net, classes: None, dropout: None };
    let (mut total, mut worst) = (0.0, 0.0f64);
    for t in 1..=schedule.steps() {
        let mut z = vec![0.0; N * 2];
        fill_normal(2, Purpose::Forward, t as u64, 0, &mut z);
        let (signal, noise) = (schedule.alpha_bar(t), schedule.one_minus_alpha_bar(t));
        let x_t: Vec<f32> = z
            .iter()
            .enumerate()
            .map(|(i, z)| {
                let (mean, deviation) = DATA[i % 2];
                (signal.sqrt() * mean + (signal * deviation.powi(2) + noise).sqrt() * f64::from(*z)) as f32
            })
            .collect();
        let step =
            chain.p_step(&call, Tensor::<Flex, 2>::from_data(TensorData::new(x_t.clone(), [N, 2]), &FlexDevice), t);
        let means: Vec<f64> = step.mean.into_data().iter::<f64>().collect();
        let log_variances: Vec<f64> = match step.variance {
            StepVariance::Fixed(value) => vec![value; 2 * N],
            StepVariance::Learned(values) => values.into_data().iter::<f64>().collect(),
        };
        let weights = schedule.posterior_mean_coefficients(t);
        for (i, x) in x_t.iter().enumerate() {
            let (mean, deviation) = DATA[i % 2];
            let spread = signal * deviation.powi(2) + noise;
            let x_0 = mean + signal.sqrt() * deviation.powi(2) / spread * (f64::from(*x) - signal.sqrt() * mean);
            let exact_mean = weights.x_0 * x_0 + weights.x_t * f64::from(*x);
            let exact = schedule.posterior_variance(t) + weights.x_0.powi(2) * deviation.powi(2) * noise / spread;
            let ratio = exact.ln() - log_variances[i];
            worst = worst.max(ratio.abs());
            let kl = 0.5 * (ratio.exp() - 1.0 - ratio + (exact_mean - means[i]).powi(2) * (-log_variances[i]).exp());
            total += kl / N as f64;
        }
    }
    (total, worst)
}

#[test]
fn a_learned_variance_becomes_the_exact_one_and_the_bound_that_of_the_exact_chain() {
    for variance in [ModelVariance::LearnedRange, ModelVariance::Learned] {
        let (nats, error) = lacks(&trained(variance, Loss::Vlb), variance);
        println!("{variance:?}: {nats:.4} nats above the exact bound, log-variance within {error:.3}");
        assert!(nats < 0.01, "{variance:?}: {nats:.4} nats");
        assert!(error < 0.2, "{variance:?}: log-variance off by {error:.3}");
    }
}

#[test]
fn fixed_variances_stay_above_the_exact_bound() {
    for variance in [ModelVariance::FixedSmall, ModelVariance::FixedLarge] {
        let (nats, _) = lacks(&trained(variance, Loss::Vlb), variance);
        println!("{variance:?}: {nats:.4} nats above the exact bound");
        assert!(nats > 0.05, "{variance:?}: {nats:.4} nats");
    }
}
