//! Every option of the solvers on every grid, also where levels meet: finite, falling, and as many evaluations as it should be.

use std::cell::Cell;

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::Tensor,
};
use proptest::prelude::*;
use sfumato_model::Spacing;
use sfumato_model::sampling::{FinalSigma, LevelOptions, SamplerError, dpm_solver_levels, euler_levels};
use sfumato_process::{
    Chain, Denoiser, NoiseLevels, Parameterization, SeededNoise,
    sampler::{
        DpmSolver, DpmSolverOptions, Euler, EulerAncestral, Heun, SolverEquation, SolverOrder, SolverType, Stepper,
        UniPc, UniPcOptions, UniPcScale, ignore, walk,
    },
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig, ScheduleError};

const DEVICE: FlexDevice = FlexDevice;

/// A bounded answer to anything, that counts how often it was asked.
struct Counting {
    steps: usize,
    asked: Cell<usize>,
}

impl Denoiser<Flex, 2> for Counting {
    fn predict(&self, x_t: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
        self.asked.set(self.asked.get() + 1);
        (x_t * 0.7 + 0.1).tanh()
    }

    fn predict_between(&self, x_t: Tensor<Flex, 2>, t: &[f64]) -> Tensor<Flex, 2> {
        assert!(t.iter().all(|t| (1.0..=self.steps as f64).contains(t)), "{t:?}");
        self.predict(x_t, &[])
    }
}

/// The samples and the number of evaluations.
fn draw(sampler: &mut dyn Stepper<Flex, 2>, steps: usize) -> (Vec<f64>, usize) {
    let counting = Counting { steps, asked: Cell::new(0) };
    let x = walk(sampler, &counting, &SeededNoise::new(1), [2, 3], &DEVICE, &mut ignore).unwrap();
    (x.into_data().iter::<f64>().collect(), counting.asked.get())
}

/// Levels fall, and the end is not above the last of them; the times are the chain's own and never rise.
fn assert_falls(levels: &NoiseLevels, steps: usize) {
    let all: Vec<_> = (0..=levels.steps()).filter_map(|done| levels.after(done)).collect();
    for pair in levels.levels().windows(2) {
        assert!(pair[0].sigma > pair[1].sigma && pair[0].t >= pair[1].t, "{pair:?}");
    }
    for pair in all.windows(2) {
        assert!(pair[0].sigma >= pair[1].sigma, "{pair:?}");
    }
    for level in all {
        assert!(level.sigma.is_finite() && level.sigma > 0.0 && (1.0..=steps as f64).contains(&level.t), "{level:?}");
    }
}

fn assert_finite(x: &[f64]) {
    assert!(x.iter().all(|x| x.is_finite()), "{x:?}");
}

fn assert_solvers_work(
    schedule: &NoiseSchedule,
    count: usize,
    options: &LevelOptions,
    solver: DpmSolverOptions,
    parameterization: Parameterization,
) {
    let steps = schedule.steps();
    let chain = Chain::new(schedule, parameterization);
    let to_data = options.end == FinalSigma::Zero;

    match dpm_solver_levels(schedule, count, options) {
        Ok(levels) => {
            assert_falls(&levels, steps);
            // A limit may leave fewer steps of a grid that was laid from the other end.
            if options.karras || options.lambda_min == f64::NEG_INFINITY || options.spacing != Spacing::Trailing {
                assert_eq!(levels.steps(), count);
            }
            let uni_pc = UniPcOptions {
                order: solver.order,
                scale: if solver.solver_type == SolverType::Heun { UniPcScale::Bh1 } else { UniPcScale::Bh2 },
                predict_x0: !solver.euler_at_final,
                lower_order_final: solver.lower_order_final,
                disable_corrector: vec![1],
            };
            let solvers: [Box<dyn Stepper<Flex, 2>>; 2] =
                [Box::new(DpmSolver::new(&chain, &levels, solver)), Box::new(UniPc::new(&chain, &levels, uni_pc))];
            for mut solver in solvers {
                let (x, asked) = draw(&mut solver, steps);
                assert_eq!(asked, levels.steps());
                assert_finite(&x);
            }
        }
        Err(SamplerError::Schedule(ScheduleError::TimestepOutOfRange { .. })) => assert!(options.offset > 0),
        Err(error) => assert!(options.lambda_min.is_finite(), "{error}"),
    }
    match euler_levels(schedule, count, options) {
        Ok(levels) => {
            assert_falls(&levels, steps);
            assert_eq!(levels.steps(), count);
            for sampler in [
                &mut Euler::new(&chain, &levels) as &mut dyn Stepper<Flex, 2>,
                &mut EulerAncestral::new(&chain, &levels),
            ] {
                let (x, asked) = draw(sampler, steps);
                assert_eq!(asked, count);
                assert_finite(&x);
            }
            let (x, asked) = draw(&mut Heun::new(&chain, &levels), steps);
            assert_eq!(asked, if to_data { 2 * count - 1 } else { 2 * count });
            assert_finite(&x);
        }
        Err(error) => {
            assert!(matches!(error, SamplerError::Schedule(ScheduleError::TimestepOutOfRange { .. })), "{error}")
        }
    }
}

fn schedules() -> impl Strategy<Value = NoiseSchedule> {
    let named = (prop::sample::select(vec!["linear", "cosine", "scaled-linear", "sigmoid"]), 1..40usize)
        .prop_filter_map("a schedule", |(name, steps)| {
            format!("{name}:{steps}").parse::<ScheduleConfig>().ok()?.build().ok()
        });
    let long = prop::sample::select(vec!["linear", "cosine"])
        .prop_map(|name| name.parse::<ScheduleConfig>().unwrap().build().unwrap());
    // Steep, flat, and with neighbours that are next to equal.
    let explicit = prop::collection::vec(prop_oneof![1e-4..0.9f64, 1e-12..1e-10f64, 0.9..0.999f64], 1..12)
        .prop_filter_map("a schedule", |betas| NoiseSchedule::from_betas(betas).ok());
    (prop_oneof![6 => named, 1 => long, 3 => explicit], any::<bool>()).prop_map(|(schedule, zero)| match zero {
        true => schedule.with_zero_terminal_snr().unwrap_or(schedule),
        false => schedule,
    })
}

fn level_options() -> impl Strategy<Value = LevelOptions> {
    let spacing = prop::sample::select(vec![Spacing::Leading, Spacing::Linspace, Spacing::Trailing]);
    let end = prop::sample::select(vec![FinalSigma::Zero, FinalSigma::First]);
    let lambda_min = prop_oneof![4 => Just(f64::NEG_INFINITY), 1 => -6.0..6.0f64];
    (spacing, prop_oneof![3 => Just(0usize), 1 => Just(1)], any::<bool>(), end, lambda_min, any::<bool>()).prop_map(
        |(spacing, offset, karras, end, lambda_min, round_down)| LevelOptions {
            spacing,
            offset,
            karras,
            end,
            lambda_min,
            round_down,
        },
    )
}

fn solver_options() -> impl Strategy<Value = DpmSolverOptions> {
    let order = prop::sample::select(vec![SolverOrder::First, SolverOrder::Second, SolverOrder::Third]);
    let solver_type = prop::sample::select(vec![SolverType::Midpoint, SolverType::Heun]);
    let equation = prop::sample::select(vec![SolverEquation::Ode, SolverEquation::Sde]);
    (equation, order, solver_type, any::<bool>(), any::<bool>()).prop_map(
        |(equation, order, solver_type, lower_order_final, euler_at_final)| DpmSolverOptions {
            equation,
            order,
            solver_type,
            lower_order_final,
            euler_at_final,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_option_works_on_every_grid(
        schedule in schedules(),
        share in prop_oneof![1 => Just(1.0), 1 => Just(0.0), 2 => 0.0..1.0f64],
        options in level_options(),
        solver in solver_options(),
        parameterization in prop::sample::select(vec![Parameterization::Epsilon, Parameterization::X0, Parameterization::V]),
    ) {
        // No steps, all of them, or some; few of a long chain, so that this stays a matter of seconds.
        let count = ((share * schedule.steps() as f64).ceil() as usize).clamp(1, schedule.steps());
        let count = if schedule.steps() > 100 && share < 1.0 { count.min(40) } else { count };
        assert_solvers_work(&schedule, count, &options, solver, parameterization);
    }
}

/// `final_sigmas_type` sigma_min with as many steps as the chain: the last step leads to where it is.
#[test]
fn a_step_to_the_same_level_leaves_the_state() {
    for karras in [false, true] {
        for name in ["linear:20", "cosine:20"] {
            let schedule = name.parse::<ScheduleConfig>().unwrap().build().unwrap();
            let chain = Chain::new(&schedule, Parameterization::Epsilon);
            let options = LevelOptions { end: FinalSigma::First, karras, ..LevelOptions::default() };
            let levels = dpm_solver_levels(&schedule, 20, &options).unwrap();
            let (end, last) = (levels.after(20).unwrap(), levels.levels()[19]);
            assert!((end.sigma - last.sigma).abs() <= 1e-12 * last.sigma, "{end:?} {last:?}");
            for order in [SolverOrder::First, SolverOrder::Second, SolverOrder::Third] {
                for solver_type in [SolverType::Midpoint, SolverType::Heun] {
                    let options = DpmSolverOptions { order, solver_type, ..DpmSolverOptions::default() };
                    let mut states = Vec::new();
                    let mut solver = DpmSolver::<Flex, 2>::new(&chain, &levels, options);
                    let counting = Counting { steps: 20, asked: Cell::new(0) };
                    walk(&mut solver, &counting, &SeededNoise::new(1), [1, 3], &DEVICE, &mut |state| {
                        states.push(state.x.to_data().iter::<f64>().collect::<Vec<_>>());
                        std::ops::ControlFlow::Continue(())
                    })
                    .unwrap();
                    assert_finite(&states.concat());
                    assert_eq!(states[19], states[18], "{name} {order:?} {solver_type:?}");
                }
            }
        }
    }
}

/// One step before the end there is less signal already than diffusers leaves at the end.
#[test]
fn a_chain_without_signal_at_its_end_falls_with_all_its_steps() {
    for name in ["linear:1000", "cosine:10000"] {
        let schedule: NoiseSchedule = name.parse::<ScheduleConfig>().unwrap().build().unwrap();
        let schedule = schedule.with_zero_terminal_snr().unwrap();
        let steps = schedule.steps();
        for spacing in [Spacing::Leading, Spacing::Linspace, Spacing::Trailing] {
            let options = LevelOptions { spacing, ..LevelOptions::default() };
            for count in [steps, steps - 1, 20] {
                assert_falls(&euler_levels(&schedule, count, &options).unwrap(), steps);
                assert_falls(&dpm_solver_levels(&schedule, count, &options).unwrap(), steps);
            }
        }
    }
}

/// diffusers 0.35.2, `DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2", use_karras_sigmas=True)`: its timesteps, counted
/// from 0, and sigmas. They are the same with `lambda_min_clipped=-5.1`: the limit holds for steps that are spread, not for levels.
#[test]
fn karras_levels_of_the_cosine_schedule_are_those_of_diffusers() {
    let cosine = "cosine".parse::<ScheduleConfig>().unwrap().build().unwrap();
    let eight = (
        &[998, 998, 998, 998, 994, 965, 508, 0][..],
        &[20291.3, 7903.92, 2657.72, 730.537, 149.743, 19.238, 1.04236, 0.00642711][..],
    );
    let twenty = (
        &[998, 998, 998, 998, 998, 998, 998, 998, 998, 997, 996, 994, 989, 978, 949, 867, 623, 221, 33, 0][..],
        &[
            20291.3, 14547.6, 10257.8, 7101.49, 4817.09, 3193.91, 2064.08, 1295.73, 786.843, 459.868, 257.03, 136.275,
            67.8203, 31.24, 13.0643, 4.82512, 1.51008, 0.374779, 0.065665, 0.00642711,
        ][..],
    );
    for lambda_min in [f64::NEG_INFINITY, -5.1] {
        for (times, sigmas) in [eight, twenty] {
            let options = LevelOptions { karras: true, round_down: true, lambda_min, ..LevelOptions::default() };
            let levels = dpm_solver_levels(&cosine, times.len(), &options).unwrap();
            let found: Vec<usize> = levels.levels().iter().map(|level| level.t as usize - 1).collect();
            assert_eq!(found, times);
            for (level, sigma) in levels.levels().iter().zip(sigmas) {
                // float32, in which few digits of alpha_bar are right next to T.
                assert!((level.sigma / sigma - 1.0).abs() < 1e-3, "{level:?}, {sigma}");
            }
        }
        // Whether the highest level is step T or the one below is decided by rounding, in diffusers too.
        for (steps, top) in [(100, 99), (400, 398), (1000, 998), (2000, 1998), (4000, 3998)] {
            let cosine = format!("cosine:{steps}").parse::<ScheduleConfig>().unwrap().build().unwrap();
            let options = LevelOptions { karras: true, round_down: true, lambda_min, ..LevelOptions::default() };
            let levels = dpm_solver_levels(&cosine, 5, &options).unwrap();
            assert_eq!(levels.levels()[0].t as usize - 1, top, "{steps}");
        }
        // The same limit on steps that are spread.
        for (spacing, expected) in [
            (Spacing::Linspace, [995, 871, 746, 622, 498, 373, 249, 124]),
            (Spacing::Leading, [880, 770, 660, 550, 440, 330, 220, 110]),
            (Spacing::Trailing, [995, 870, 745, 620, 495, 370, 245, 120]),
        ] {
            let options = LevelOptions { spacing, lambda_min: -5.1, ..LevelOptions::default() };
            let levels = dpm_solver_levels(&cosine, 8, &options).unwrap();
            let found: Vec<usize> = levels.levels().iter().map(|level| level.t as usize - 1).collect();
            assert_eq!(found, expected, "{spacing}");
        }
    }
}
