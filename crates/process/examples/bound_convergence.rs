//! How far the variational bound of a perfect denoiser is from the truth, by number of steps and by variance.
//!
//! Prints a Markdown page; that in the documentation was made with
//! `cargo run --release --workspace --example bound_convergence > docs/results/bound-convergence.md`.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData},
};
use sfumato_process::{
    Chain, NoiseSource, Parameterization, ReverseVariance, SeededNoise,
    bound::{Decoder, Mean, Moments, prior_term, step_terms},
    forward::q_sample,
    noise::{Purpose, stream},
    oracle::{DataError, GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{Cosine, ScheduleConfig};

const EXAMPLES: usize = 10_000;
const STEPS: [usize; 9] = [10, 20, 50, 100, 200, 500, 1000, 2000, 4000];

fn data() -> Result<MixtureData, DataError> {
    MixtureData::new(vec![
        (0.4, GaussianData::full(vec![-0.8, 0.4], &[0.10, 0.06, 0.06, 0.08])?),
        (0.6, GaussianData::diagonal(vec![0.7, -0.3], vec![0.04, 0.2])?),
    ])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = data()?;
    let mut rng = stream(1, Purpose::Training, 0, 0);
    let examples: Vec<Vec<f64>> = (0..EXAMPLES).map(|_| data.sample(&mut rng)).collect();
    let mut truth = Moments::default();
    examples.iter().for_each(|x| truth.push(-data.log_density(x)));
    let truth = truth.mean().ok_or("no examples")?;

    println!("# The bound of a perfect denoiser against the truth\n");
    println!(
        "A mixture of two Gaussians in the plane, {EXAMPLES} examples, cosine schedule, one noise draw for each example and step, \
         f64. The denoiser is the oracle `E[x_0 | x_t]`, so that what is left of the gap is due to the prior, to the number of \
         steps and to the variance of the reverse steps. `-E log q(x_0)` of these examples is {:.4} ± {:.4} nats. The gap is \
         `bound - (-log q(x_0))`, its standard error from the differences by example; nats for the two dimensions together.\n",
        truth.mean,
        truth.standard_error.unwrap_or(f64::NAN)
    );
    println!("| T | L_T | gap, β̃ (fixed small) | gap, β (fixed large) | gap, optimal variance |");
    println!("|---:|---:|---:|---:|---:|");
    for steps in STEPS {
        let schedule = ScheduleConfig::from(Cosine { steps, ..Cosine::default() }).build()?;
        let oracle = Oracle::new(data.clone(), &schedule, Parameterization::X0);
        let chain = Chain::new(&schedule, Parameterization::X0);
        let prior: f64 = examples.iter().map(|x| prior_term(&chain, x)).sum::<f64>() / EXAMPLES as f64;
        let chains = [
            chain.clone().with_variance(ReverseVariance::FixedSmall),
            chain.clone().with_variance(ReverseVariance::FixedLarge),
            chain.with_log_variances(oracle.optimal_log_variances(2, 2000))?,
        ];
        let mut cells = Vec::new();
        for chain in &chains {
            let gap = gap(chain, &oracle, &data, &examples)?;
            cells.push(format!("{:.4} ± {:.4}", gap.mean, gap.standard_error.unwrap_or(f64::NAN)));
        }
        println!("| {steps} | {prior:.1e} | {} |", cells.join(" | "));
    }
    println!(
        "\nWith the optimal variance (Bao et al. 2022, Theorem 1; here `Chain::with_log_variances`) the bound reaches the likelihood as \
         T grows. With either fixed variance it does not: next to the data, where a step's noise is much narrower than the data, \
         the exact reverse variance is close to β, and at t = 1, where β̃ is 0, both fixed choices use β̃_2, half of that when \
         β_1 = β_2. In the limit of equal small β the excess is ½(1 - ln 2) = 0.15 nats a dimension for β and \
         ½(1 - ln 2 + 0.5772) = 0.44 for β̃. For 8-bit images the first steps are narrower than a grey level, which hides most \
         of it; for continuous data it is there in every density that is computed this way.\n"
    );
    println!("Made by `cargo run --release --workspace --example bound_convergence`.");
    Ok(())
}

/// The bound less `-log q(x_0)`, by example.
fn gap(
    chain: &Chain,
    oracle: &Oracle,
    data: &MixtureData,
    examples: &[Vec<f64>],
) -> Result<Mean, Box<dyn std::error::Error>> {
    let device = FlexDevice;
    let shape = [examples.len(), data.dimensions()];
    let x_0 = Tensor::<Flex, 2>::from_data(TensorData::new(examples.concat(), shape), (&device, DType::F64));
    let mut gaps: Vec<f64> = examples.iter().map(|x| prior_term(chain, x) + data.log_density(x)).collect();
    let noise = SeededNoise::new(3).with_purpose(Purpose::Forward);
    for t in 1..=chain.steps() {
        let steps = vec![t; examples.len()];
        let epsilon: Tensor<Flex, 2> = noise.normal(t - 1, shape, &device)?;
        let x_t = q_sample(chain.schedule(), x_0.clone(), &steps, epsilon.cast(DType::F64));
        let terms = step_terms(chain, oracle, Decoder::Gaussian, x_0.clone(), x_t, &steps)?;
        gaps.iter_mut().zip(terms).for_each(|(gap, term)| *gap += term);
    }
    let mut moments = Moments::default();
    gaps.iter().for_each(|gap| moments.push(*gap));
    Ok(moments.mean().ok_or("no examples")?)
}
