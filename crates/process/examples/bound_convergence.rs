//! How far the variational bound of a perfect denoiser is from the truth, by number of steps and by variance.
//!
//! Prints a Markdown page; `cargo xtask evidence bound-convergence` takes the numbers of its table.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData},
};
use rand_distr::{Distribution, StandardNormal};
use sfumato_process::{
    Chain, Parameterization, ReverseVariance, SeededNoise,
    bound::{Decoder, Mean, Moments, prior_term, step_terms},
    forward::q_sample,
    noise,
    noise::{Purpose, stream},
    oracle::{DataError, GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{Cosine, NoiseSchedule, ScheduleConfig};

const STEPS: [usize; 9] = [10, 20, 50, 100, 200, 500, 1000, 2000, 4000];
/// Draws of `x_t` for the mean of `tr Cov(x_0 | x_t)`.
const DRAWS: usize = 5000;
/// Examples for the bound as it is estimated for a model.
const EXAMPLES: usize = 5000;

fn data() -> Result<MixtureData, DataError> {
    MixtureData::new(vec![
        (0.4, GaussianData::full(vec![-0.8, 0.4], &[0.10, 0.06, 0.06, 0.08])?),
        (0.6, GaussianData::diagonal(vec![0.7, -0.3], vec![0.04, 0.2])?),
    ])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = data()?;
    let entropy = entropy(&data);
    println!("# The bound of a perfect denoiser against the truth\n");
    println!(
        "Data: a mixture of two Gaussians in the plane, with `-E log q(x_0)` = {entropy:.6} nats (by quadrature). Model: the cosine \
         schedule with T steps and the oracle `E[x_0 | x_t]` as denoiser, so that the gap `bound - (-E log q(x_0))` is due to the \
         prior, to the number of steps and to the variance of the reverse steps alone. Nats for both dimensions together.\n"
    );
    println!(
        "The expectation over `x_0` given `x_t` is taken exactly (`E ‖x_0 - x̂_0‖²` is `E tr Cov(x_0 | x_t)`, over {DRAWS} draws of \
         `x_t` a step); in the last column it is not: there the terms are those that score a model (`bound::step_terms`), with one \
         noise draw for each of {EXAMPLES} examples and each step, and the standard error is that of the difference to \
         `-log q(x_0)` by example.\n"
    );
    println!(
        "| T | L_T | gap, β̃ (fixed small) | gap, β (fixed large) | gap, optimal variance | the last, by samples |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for steps in STEPS {
        let schedule = ScheduleConfig::from(Cosine { steps, ..Cosine::default() }).build()?;
        let oracle = Oracle::new(data.clone(), &schedule, Parameterization::X0);
        let variances: Vec<Mean> =
            (1..=steps).map(|t| variance_x_0(&oracle, &schedule, t)).collect::<Option<_>>().ok_or("no draws")?;
        let best = (1..=steps).map(|t| oracle.noised(t).optimal_reverse_variance(variances[t - 1].mean).ln()).collect();
        let chain = Chain::new(&schedule, Parameterization::X0);
        let optimal = chain.clone().with_log_variances(best)?;
        let chains = [
            chain.clone().with_variance(ReverseVariance::FixedSmall),
            chain.clone().with_variance(ReverseVariance::FixedLarge),
            optimal.clone(),
        ];
        let cells: Vec<String> = chains
            .iter()
            .map(|chain| bound(chain, &data, &variances))
            .map(|(bound, error)| format!("{:.5} ± {error:.5}", bound - entropy))
            .collect();
        let sampled = sampled_gap(&optimal, &oracle, &data)?;
        println!(
            "| {steps} | {:.1e} | {} | {:.3} ± {:.3} |",
            prior(&chain, &data),
            cells.join(" | "),
            sampled.mean,
            sampled.standard_error.ok_or("one example")?
        );
    }
    println!(
        "\nWith the optimal variance (Bao et al. 2022, Theorem 1; `Chain::with_log_variances`) the bound converges to the \
         log-likelihood as T grows. With either fixed variance it does not. Next to the data a step's noise is much narrower than the data: \
         the exact reverse variance is then close to β, not to β̃, and at t = 1, where β̃ is 0, both fixed choices use β̃_2, half of it \
         when β_1 = β_2. In the limit of equal small β the excess is ½(1 - ln 2) = 0.153 nats a dimension for β and \
         ½(1 - ln 2 + 0.577) = 0.442 for β̃: 0.31 and 0.88 here. For 8-bit images the first steps are narrower than a grey level, and \
         the discretised decoder hides most of this; a density of continuous data that is computed with a fixed variance has all of it.\n"
    );
    println!("Made by `cargo run --release -p sfumato-process --example bound_convergence`.");
    Ok(())
}

/// `-E log q(x_0)` by the trapezoidal rule, which converges faster than any power of the spacing here.
fn entropy(data: &MixtureData) -> f64 {
    let spacing = 0.01;
    let density = data.noised(&NoiseSchedule::from_betas(vec![0.5]).expect("a valid beta"), 0);
    let line = || (-450..=450).map(|i| spacing * f64::from(i));
    let term = |x: f64, y: f64| {
        let log_density = density.log_density(&[x, y]);
        -log_density.exp() * log_density
    };
    spacing * spacing * line().map(|x| line().map(|y| term(x, y)).sum::<f64>()).sum::<f64>()
}

/// `E tr Cov(x_0 | x_t)`.
fn variance_x_0(oracle: &Oracle, schedule: &NoiseSchedule, t: usize) -> Option<Mean> {
    let (signal, noise) = (schedule.alpha_bar(t).sqrt(), schedule.one_minus_alpha_bar(t).sqrt());
    let mut moments = Moments::default();
    let mut rng = stream(2, Purpose::Forward, 0, t as u64);
    for _ in 0..DRAWS {
        let mut x_t = oracle.data().sample(&mut rng);
        for x in &mut x_t {
            let epsilon: f64 = StandardNormal.sample(&mut rng);
            *x = signal * *x + noise * epsilon;
        }
        moments.push(oracle.noised(t).variance_x_0(&x_t));
    }
    moments.mean()
}

/// `E L_T`: linear in the mean square of the data.
fn prior(chain: &Chain, data: &MixtureData) -> f64 {
    let square = |(weight, part): &(f64, GaussianData)| {
        weight * (part.mean().iter().map(|x| x * x).sum::<f64>() + part.spread().iter().sum::<f64>())
    };
    let mean_square = data.components().iter().map(square).sum::<f64>() / data.dimensions() as f64;
    data.dimensions() as f64 * chain.schedule().prior_kl(mean_square)
}

/// The bound with the expectation of `‖x_0 - x̂_0‖²` put in, and its standard error.
fn bound(chain: &Chain, data: &MixtureData, variances: &[Mean]) -> (f64, f64) {
    let dimensions = data.dimensions() as f64;
    let schedule = chain.schedule();
    let (mut sum, mut square_error) = (prior(chain, data), 0.0);
    for t in 1..=chain.steps() {
        let log_variance = chain.log_variance(t).expect("the variances are tables and rules");
        let weight = 0.5 * schedule.posterior_mean_coefficients(t).x_0.powi(2) * (-log_variance).exp();
        sum += weight * variances[t - 1].mean
            + if t == 1 {
                0.5 * dimensions * (std::f64::consts::TAU.ln() + log_variance)
            } else {
                let log_ratio = schedule.posterior_log_variance(t) - log_variance;
                0.5 * dimensions * (log_ratio.exp_m1() - log_ratio)
            };
        square_error += (weight * variances[t - 1].standard_error.unwrap_or(0.0)).powi(2);
    }
    (sum, square_error.sqrt())
}

/// The bound less `-log q(x_0)`, by example, as a model is scored.
fn sampled_gap(chain: &Chain, oracle: &Oracle, data: &MixtureData) -> Result<Mean, Box<dyn std::error::Error>> {
    let device = FlexDevice;
    let mut rng = stream(1, Purpose::Training, 0, 0);
    let examples: Vec<Vec<f64>> = (0..EXAMPLES).map(|_| data.sample(&mut rng)).collect();
    let shape = [EXAMPLES, data.dimensions()];
    let x_0 = Tensor::<Flex, 2>::from_data(TensorData::new(examples.concat(), shape), (&device, DType::F64));
    let mut gaps: Vec<f64> = examples.iter().map(|x| prior_term(chain, x) + data.log_density(x)).collect();
    let noise = SeededNoise::new(3).with_purpose(Purpose::Forward);
    for t in 1..=chain.steps() {
        let steps = vec![t; EXAMPLES];
        let epsilon: Tensor<Flex, 2> = noise::normal(&noise, t - 1, shape, &device)?;
        let x_t = q_sample(chain.schedule(), x_0.clone(), &steps, epsilon.cast(DType::F64));
        let terms = step_terms(chain, oracle, Decoder::Gaussian, x_0.clone(), x_t, &steps)?;
        gaps.iter_mut().zip(terms).for_each(|(gap, term)| *gap += term);
    }
    let mut moments = Moments::default();
    gaps.iter().for_each(|gap| moments.push(*gap));
    Ok(moments.mean().ok_or("no examples")?)
}
