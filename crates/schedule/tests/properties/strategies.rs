//! Random schedules and distributions, extreme ones included.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sfumato_schedule::probability::{Discrete, Gaussian};
use sfumato_schedule::{
    Constant, Cosine, Explicit, JensenShannon, Linear, NoiseSchedule, NotesCosine, Quadratic, ScaledLinear,
    ScheduleConfig, Sigmoid,
};

/// Largest total of `-ln alpha` that leaves `alpha_bar` a normal number, with room to spare.
const LOG_RANGE: f64 = 690.0;

/// The same cases in every run, unless `PROPTEST_RNG_SEED` asks for others and `PROPTEST_CASES` for more.
pub(crate) fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let rng_seed = if asked.rng_seed == RngSeed::Random { RngSeed::Fixed(1503) } else { asked.rng_seed };
    ProptestConfig { rng_seed, failure_persistence: None, max_global_rejects: 4 * asked.cases, ..asked }
}

/// A positive number whose logarithm is uniform.
pub(crate) fn log_uniform(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low.ln()..high.ln()).prop_map(f64::exp)
}

/// `T`, each order of magnitude equally likely.
fn steps() -> impl Strategy<Value = usize> {
    prop_oneof![4 => log_uniform(1.0, 4001.0).prop_map(|steps| steps as usize), 1 => Just(1), 1 => Just(4000)]
}

/// A schedule of any family, by its configuration.
pub(crate) fn config() -> impl Strategy<Value = ScheduleConfig> {
    prop_oneof![rising(), cosine(), constant(), jensen_shannon(), explicit()]
}

pub(crate) fn schedule() -> impl Strategy<Value = NoiseSchedule> {
    config().prop_map(|config| config.build().unwrap_or_else(|error| panic!("{config}: {error}")))
}

pub(crate) fn schedule_of_several_steps() -> impl Strategy<Value = NoiseSchedule> {
    schedule().prop_filter("a single step", |schedule| schedule.steps() > 1)
}

/// The families with two ends, which are kept so small that some signal is left.
fn rising() -> impl Strategy<Value = ScheduleConfig> {
    let ends = (log_uniform(1e-15, 0.99), log_uniform(1e-15, 0.99), steps(), 0_u8..5, 0.0..20.0);
    ends.prop_map(|(a, b, steps, family, range)| {
        // The total of -ln(1 - beta) is at most T times that of the larger end.
        let limit = -(-LOG_RANGE / steps as f64).exp_m1();
        let (beta_start, beta_end) = (a.min(limit), b.min(limit));
        match family {
            0 => Linear { steps, beta_start, beta_end, rescale: false }.into(),
            1 => {
                let unscaled = steps as f64 / 1000.0;
                let (beta_start, beta_end) = (beta_start * unscaled, beta_end * unscaled);
                Linear { steps, beta_start, beta_end, rescale: true }.into()
            }
            2 => Quadratic { steps, beta_start, beta_end }.into(),
            3 => ScaledLinear { steps, beta_start, beta_end }.into(),
            _ => Sigmoid { steps, beta_start, beta_end, range }.into(),
        }
    })
}

fn cosine() -> impl Strategy<Value = ScheduleConfig> {
    // The notes' formula passes its pole at 1 - offset of the steps: half of them with an offset of 0.5.
    (steps(), prop_oneof![Just(0.008), 0.0..0.5], 0.5..0.9995, any::<bool>()).prop_map(
        |(steps, offset, max_beta, notes)| {
            if notes {
                NotesCosine { steps, offset, max_beta }.into()
            } else {
                Cosine { steps, offset, max_beta }.into()
            }
        },
    )
}

fn constant() -> impl Strategy<Value = ScheduleConfig> {
    (log_uniform(1e-15, 0.9999), steps()).prop_map(|(beta, steps)| {
        let most = (LOG_RANGE / -(-beta).ln_1p()) as usize;
        Constant { steps: steps.min(most.max(1)), beta }.into()
    })
}

fn jensen_shannon() -> impl Strategy<Value = ScheduleConfig> {
    (steps(), 0.5..0.9999).prop_map(|(steps, max_beta)| JensenShannon { steps, max_beta }.into())
}

/// Unrelated betas from 1e-15 to 1e-9 short of 1, as many as the signal lasts.
fn explicit() -> impl Strategy<Value = ScheduleConfig> {
    let beta = prop_oneof![16 => log_uniform(1e-15, 0.5), 2 => 0.5..0.9999_f64, 1 => log_uniform(1e-9, 0.1).prop_map(|alpha| 1.0 - alpha)];
    (prop::collection::vec(beta, 1..500), 1_usize..9).prop_map(|(betas, repeats)| {
        let mut total = 0.0;
        let betas = betas.repeat(repeats).into_iter().take(4000);
        let lasting = betas.take_while(|beta: &f64| {
            total -= (-beta).ln_1p();
            total < LOG_RANGE
        });
        Explicit { betas: lasting.collect() }.into()
    })
}

pub(crate) fn gaussian() -> impl Strategy<Value = Gaussian> {
    (-5.0..5.0, log_uniform(1e-3, 1e3)).prop_map(|(mean, variance)| Gaussian::new(mean, variance).expect("in range"))
}

/// A distribution over `outcomes`, some of them impossible or nearly so.
pub(crate) fn discrete(outcomes: usize) -> impl Strategy<Value = Discrete> {
    let weight = prop_oneof![6 => 0.0..1.0, 1 => Just(0.0), 1 => log_uniform(1e-300, 1.0)];
    prop::collection::vec(weight, outcomes)
        .prop_filter_map("all weights are 0", |weights| Discrete::from_weights(weights).ok())
}
