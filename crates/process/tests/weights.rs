//! Weights of noise levels: their formulas, in every parameterisation, and beside the bound.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use proptest::prelude::*;
use sfumato_process::{
    Chain, Denoiser, DiffusionObjective, Loss, ModelVariance, Objective, Parameterization, ReverseVariance,
    bound::{Decoder, step_terms},
    forward::q_sample,
    objective::{ObjectiveError, Weight},
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

const DEVICE: FlexDevice = FlexDevice;
const F64: (&FlexDevice, DType) = (&DEVICE, DType::F64);
const PARAMETERIZATIONS: [Parameterization; 3] = [Parameterization::Epsilon, Parameterization::X0, Parameterization::V];

/// The oracle's answer with an error of its own: `x̂_0` moved by `shift`.
struct Shifted {
    oracle: Oracle,
    schedule: NoiseSchedule,
    parameterization: Parameterization,
    shift: f64,
}

impl<B: Backend> Denoiser<B, 2> for Shifted {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        let x_0 = self.oracle.predict(x_t.clone(), t) + self.shift;
        let each = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f64> = t.iter().map(|&t| value(t)).collect();
            Tensor::<B, 2>::from_data(TensorData::new(values, [t.len(), 1]), (&x_t.device(), x_t.dtype()))
        };
        let signal = each(&|t| self.schedule.alpha_bar(t).sqrt());
        let noise = each(&|t| self.schedule.one_minus_alpha_bar(t).sqrt());
        let epsilon = (x_t - x_0.clone() * signal.clone()) / noise.clone();
        match self.parameterization {
            Parameterization::Epsilon => epsilon,
            Parameterization::X0 => x_0,
            Parameterization::V => epsilon * signal - x_0 * noise,
        }
    }
}

/// A batch that visits every step of a chain, and networks that are wrong in the same way.
#[derive(Clone, Debug)]
struct Case {
    schedule: NoiseSchedule,
    x_0: Vec<f64>,
    epsilon: Vec<f64>,
    shift: f64,
}

impl Case {
    fn t(&self) -> Vec<usize> {
        (1..=self.schedule.steps()).collect()
    }

    fn tensor(&self, values: &[f64]) -> Tensor<Flex, 2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / 2, 2]), F64)
    }

    fn student(&self, parameterization: Parameterization) -> Shifted {
        let part = |mean: f64, variance| GaussianData::isotropic(vec![mean, -mean], variance).unwrap();
        let data = MixtureData::new(vec![(0.4, part(0.5, 0.1)), (0.6, part(-0.3, 0.3))]).unwrap();
        let oracle = Oracle::new(data, &self.schedule, Parameterization::X0);
        Shifted { oracle, schedule: self.schedule.clone(), parameterization, shift: self.shift }
    }

    fn losses(&self, parameterization: Parameterization, weight: Weight) -> Vec<f64> {
        let objective = DiffusionObjective {
            parameterization,
            variance: ModelVariance::FixedSmall,
            loss: Loss::Simple,
            weight,
            decoder: Decoder::Gaussian,
        };
        let (x_0, epsilon) = (self.tensor(&self.x_0), self.tensor(&self.epsilon));
        let losses = objective.losses(&self.schedule, &self.student(parameterization), x_0, &self.t(), epsilon);
        losses.unwrap().into_data().iter::<f64>().collect()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (2..40usize, any::<u64>(), -0.4..0.4).prop_flat_map(|(steps, seed, shift)| {
        let values = || prop::collection::vec(-1.5..1.5f64, 2 * steps);
        let schedule = match seed % 2 {
            0 => ScheduleConfig::default().with_steps(steps).unwrap().build().unwrap(),
            _ => ScheduleConfig::from_name("cosine").unwrap().with_steps(steps).unwrap().build().unwrap(),
        };
        (Just(schedule), values(), values(), Just(shift)).prop_map(|(schedule, x_0, epsilon, shift)| Case {
            schedule,
            x_0,
            epsilon,
            shift,
        })
    })
}

fn weights() -> impl Strategy<Value = Weight> {
    prop_oneof![
        Just(Weight::Simple),
        Just(Weight::Bound),
        (0.1..20.0).prop_map(|gamma| Weight::MinSnr { gamma }),
        (0.0..2.0, 0.1..3.0).prop_map(|(gamma, k)| Weight::P2 { gamma, k }),
        (-3.0..5.0).prop_map(|k| Weight::Sigmoid { k }),
    ]
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (a.abs() + b.abs()) + 1e-12
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever is predicted, the same mistake costs the same.
    #[test]
    fn a_weight_does_not_depend_on_what_is_predicted(case in cases(), weight in weights()) {
        prop_assume!(!weight.is_simple());
        let [epsilon, x_0, v] = PARAMETERIZATIONS.map(|parameterization| case.losses(parameterization, weight));
        for t in 0..epsilon.len() {
            prop_assert!(close(epsilon[t], x_0[t]) && close(epsilon[t], v[t]), "{t}: {} {} {}", epsilon[t], x_0[t], v[t]);
        }
    }

    /// The loss is the squared error of the output times the weight, and that is the formula of its source.
    #[test]
    fn weights_are_those_of_their_sources(case in cases(), gamma in 0.1..20.0, p in 0.0..2.0, k in 0.1..3.0) {
        for parameterization in PARAMETERIZATIONS {
            let simple = case.losses(parameterization, Weight::Simple);
            let weighted = |weight| case.losses(parameterization, weight).into_iter().zip(&simple).map(|(w, s)| w / s).collect::<Vec<_>>();
            let min_snr = weighted(Weight::MinSnr { gamma });
            let p2 = weighted(Weight::P2 { gamma: p, k });
            let bound = weighted(Weight::Bound);
            let sigmoid = weighted(Weight::Sigmoid { k });
            for t in case.t() {
                let (snr, i) = (case.schedule.snr(t), t - 1);
                // compute_mse_loss_weight of Hang et al.'s program.
                let right = snr.min(gamma) / match parameterization {
                    Parameterization::Epsilon => snr,
                    Parameterization::X0 => 1.0,
                    Parameterization::V => snr + 1.0,
                };
                prop_assert!(close(min_snr[i], right), "{parameterization:?} {t}: {} {right}", min_snr[i]);
                // The square of the noise's error over that of the output.
                let noise = match parameterization {
                    Parameterization::Epsilon => 1.0,
                    Parameterization::X0 => snr,
                    Parameterization::V => snr / (snr + 1.0),
                };
                prop_assert!(close(p2[i], noise / (k + snr).powf(p)), "{parameterization:?} {t}: {}", p2[i]);
                let of_bound = match t {
                    1 => 0.5 / (snr * case.schedule.posterior_log_variance(1).exp()),
                    _ => 0.5 * (case.schedule.snr(t - 1) - snr) / snr,
                };
                // The difference of two ratios has fewer digits.
                let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-8;
                prop_assert!(near(bound[i], noise * of_bound), "{parameterization:?} {t}: {}", bound[i]);
                let right = noise * of_bound / (1.0 + (case.schedule.log_snr(t) - k).exp());
                prop_assert!(near(sigmoid[i], right), "{parameterization:?} {t}: {}", sigmoid[i]);
            }
        }
    }

    /// `Bound` is what evaluation computes for the variance `β̃`, without what no network can change.
    #[test]
    fn the_weight_bound_gives_the_terms_of_the_bound(case in cases()) {
        for parameterization in PARAMETERIZATIONS {
            let chain = Chain::new(&case.schedule, parameterization).with_variance(ReverseVariance::FixedSmall);
            let x_0 = case.tensor(&case.x_0);
            let x_t = q_sample(&case.schedule, x_0.clone(), &case.t(), case.tensor(&case.epsilon));
            let student = case.student(parameterization);
            let nats = step_terms(&chain, &student, Decoder::Gaussian, x_0, x_t, &case.t()).unwrap();
            let losses = case.losses(parameterization, Weight::Bound);
            for t in case.t() {
                let constant = match t {
                    1 => 0.5 * (std::f64::consts::TAU.ln() + case.schedule.posterior_log_variance(1)),
                    _ => 0.0,
                };
                let right = nats[t - 1] / 2.0 - constant;
                prop_assert!((losses[t - 1] - right).abs() < 1e-8 * (right.abs() + constant.abs()) + 1e-10, "{t}: {} {right}", losses[t - 1]);
            }
        }
    }
}

#[test]
fn the_limits_of_weights_are_each_other() {
    let schedule = ScheduleConfig::default().build().unwrap();
    for parameterization in PARAMETERIZATIONS {
        for t in [1, 2, 40, 500, 1000] {
            let at = |weight: Weight| weight.at(&schedule, parameterization, t);
            let same = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{parameterization:?} {t}: {a} {b}");
            same(at(Weight::Sigmoid { k: 60.0 }), at(Weight::Bound));
            same(at(Weight::P2 { gamma: 0.0, k: 1.0 }), at(Weight::MinSnr { gamma: 1e9 }));
            assert_eq!(at(Weight::Simple), 1.0);
        }
        // With many steps the bound's weight is half the fall of log SNR.
        let fall = schedule.log_snr(699) - schedule.log_snr(700);
        let bound = Weight::Bound.at(&schedule, Parameterization::Epsilon, 700);
        assert!((bound / (0.5 * fall) - 1.0).abs() < fall, "{bound} {fall}");
    }
}

#[test]
fn the_bound_takes_no_other_weights() {
    let schedule = ScheduleConfig::default().build().unwrap();
    let objective = DiffusionObjective {
        parameterization: Parameterization::V,
        variance: ModelVariance::LearnedRange,
        loss: Loss::Vlb,
        weight: Weight::P2,
        decoder: Decoder::Gaussian,
    };
    struct Never;
    impl<B: Backend> Denoiser<B, 2> for Never {
        fn predict(&self, _: Tensor<B, 2>, _: &[usize]) -> Tensor<B, 2> {
            unreachable!("the network is not asked")
        }
    }
    let x = || Tensor::<Flex, 2>::zeros([1, 2], &DEVICE);
    let error = objective.losses(&schedule, &Never, x(), &[3], x()).unwrap_err();
    assert_eq!(error, ObjectiveError::TwoWeights { weight: "p2" });
}

#[test]
fn parameters_have_ranges() {
    for (weight, parameter) in [
        (Weight::MinSnr { gamma: 0.0 }, "gamma"),
        (Weight::MinSnr { gamma: f64::INFINITY }, "gamma"),
        (Weight::P2 { gamma: -1.0, k: 1.0 }, "gamma"),
        (Weight::P2 { gamma: 1.0, k: 0.0 }, "k"),
        (Weight::Sigmoid { k: f64::NAN }, "k"),
    ] {
        assert_eq!(weight.check().unwrap_err().parameter, parameter, "{weight:?}");
    }
    for weight in [Weight::Simple, Weight::Bound, Weight::MIN_SNR, Weight::P2, Weight::SIGMOID] {
        assert_eq!(weight.check(), Ok(()));
    }
}
