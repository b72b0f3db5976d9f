//! Schedules that follow from measured losses: monotone whatever was measured, and with the least variance.

use proptest::prelude::*;
use sfumato_schedule::{LevelLoss, LossCurve, NoiseSchedule, ScheduleError, Spread};

use crate::strategies::{cases, log_uniform};

/// Losses of any size at levels that are not evenly spread, some of them 0.
fn levels() -> impl Strategy<Value = Vec<LevelLoss>> {
    let loss = prop_oneof![8 => log_uniform(1e-12, 1e3), 1 => Just(0.0)];
    let level = (0.01..3.0, loss, 1.0..4.0);
    (prop::collection::vec(level, 1..40), -5.0..15.0).prop_map(|(levels, first)| {
        let mut log_snr = first;
        let mut next = |(fall, mean, excess): (f64, f64, f64)| {
            log_snr -= fall;
            LevelLoss { log_snr, mean, root_mean_square: mean * excess }
        };
        levels.into_iter().map(&mut next).collect()
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn schedules_fall_strictly_from_end_to_end_whatever_was_measured(
        levels in levels(),
        ends in (0.0..12.0, -15.0..-1.0),
        steps in 1_usize..600,
        first_leap in prop_oneof![Just(0.0), 0.0..0.9],
    ) {
        let Ok(losses) = LossCurve::new(levels.clone()) else {
            prop_assert!(levels.iter().all(|level| level.root_mean_square == 0.0));
            return Ok(());
        };
        let ends = [ends.0, ends.1];
        let schedule = losses.schedule(ends, steps, first_leap).unwrap();
        prop_assert_eq!(schedule.steps(), steps);
        let log_snrs: Vec<f64> = (1..=steps).map(|t| schedule.log_snr(t)).collect();
        prop_assert!((log_snrs[0] - ends[0]).abs() < 1e-9);
        prop_assert!(log_snrs.windows(2).all(|pair| pair[1] < pair[0]));
        if steps > 1 {
            prop_assert!((log_snrs[steps - 1] - ends[1]).abs() < 1e-6);
        }
        if steps > 2 {
            prop_assert!(log_snrs[0] - log_snrs[1] >= first_leap - 1e-9);
        }
        // Without a first leap all steps carry the same share of the time.
        if first_leap == 0.0 && steps > 1 {
            for (i, log_snr) in log_snrs.iter().enumerate() {
                let share = losses.time_share(ends, *log_snr);
                prop_assert!((share - i as f64 / (steps - 1) as f64).abs() < 1e-6, "{} at {}", share, i);
            }
        }
    }

    #[test]
    fn no_curve_has_less_variance_than_the_learned_one(
        levels in levels(),
        ends in (2.0..12.0, -12.0..-2.0),
        bends in prop::collection::vec(0.05..1.0, 3..30),
    ) {
        let Ok(losses) = LossCurve::new(levels) else { return Ok(()) };
        let ends = [ends.0, ends.1];
        let least = losses.least_spread(ends);
        // Some other curve between the same ends.
        let total: f64 = bends.iter().sum();
        let mut done = 0.0;
        let inner = bends.iter().map(|bend| {
            done += bend;
            ends[0] + (ends[1] - ends[0]) * done / total
        });
        let log_snrs: Vec<f64> = std::iter::once(ends[0]).chain(inner).collect();
        let other = losses.spread(&NoiseSchedule::from_log_snrs(&log_snrs).unwrap().log_snr_curve());
        prop_assert!((other.integral / least.integral - 1.0).abs() < 1e-6, "{:?} for {:?}", other, least);
        prop_assert!(other.variance >= least.variance - 1e-9 * (1.0 + other.variance.abs()));
    }

    /// Of losses that change by no more than a factor of a thousand over a fraction of a nat.
    #[test]
    fn in_many_steps_the_learned_schedule_has_the_least_variance(
        sizes in prop::collection::vec((0.2..2.0, log_uniform(1e-3, 1.0), 1.0..4.0), 1..40),
        ends in (2.0..12.0, -12.0..-2.0),
    ) {
        let mut log_snr = 12.0;
        let level = |(fall, mean, excess): (f64, f64, f64)| {
            log_snr -= fall;
            LevelLoss { log_snr, mean, root_mean_square: mean * excess }
        };
        let losses = LossCurve::new(sizes.into_iter().map(level).collect()).unwrap();
        let ends = [ends.0, ends.1];
        let learned = losses.spread(&losses.schedule(ends, 4000, 0.0).unwrap().log_snr_curve());
        let least = losses.least_spread(ends);
        let square = |spread: Spread| spread.variance + spread.integral * spread.integral;
        prop_assert!(square(learned) <= square(least) * 1.01, "{:?} for {:?}", learned, least);
    }
}

#[test]
fn losses_that_nobody_measures_are_refused() {
    let level = |log_snr, mean| LevelLoss { log_snr, mean, root_mean_square: mean };
    assert_eq!(LossCurve::new(Vec::new()).unwrap_err(), ScheduleError::NoLosses);
    assert_eq!(LossCurve::new(vec![level(0.0, 0.0)]).unwrap_err(), ScheduleError::NoLosses);
    for (log_snr, loss) in [(0.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        let wrong = LossCurve::new(vec![level(log_snr, loss)]);
        assert!(matches!(wrong, Err(ScheduleError::InvalidLoss { .. })), "{wrong:?}");
    }
    let twice = LossCurve::new(vec![level(1.0, 0.5), level(1.0, 0.25)]);
    assert!(matches!(twice, Err(ScheduleError::InvalidLoss { log_snr: 1.0, .. })));
    let smaller = LevelLoss { log_snr: 0.0, mean: 1.0, root_mean_square: 0.5 };
    assert!(matches!(LossCurve::new(vec![smaller]), Err(ScheduleError::InvalidLoss { .. })));
    let losses = LossCurve::new(vec![level(0.0, 1.0)]).unwrap();
    for (ends, leap) in
        [([0.0, 0.0], 0.0), ([-1.0, 1.0], 0.0), ([1.0, 0.0], 1.0), ([1.0, f64::NAN], 0.0), ([1.0, 0.0], -1.0)]
    {
        let refused = losses.schedule(ends, 10, leap);
        assert!(matches!(refused, Err(ScheduleError::InvalidEnds { .. })), "{ends:?}, {leap}");
    }
    assert_eq!(losses.schedule([1.0, 0.0], 0, 0.0), Err(ScheduleError::NoSteps));
}

/// The first leap keeps the decoder of fixed variances near the error of the network: for a constant loss its cost is known.
#[test]
fn the_first_leap_is_where_decoder_and_second_step_cost_the_least() {
    let loss = 0.6;
    let losses = LossCurve::new(vec![LevelLoss { log_snr: 9.0, mean: loss, root_mean_square: loss }]).unwrap();
    let found = losses.first_leap(9.0);
    let alpha_bar = 1.0 / (1.0 + (-9.0_f64).exp());
    let cost = |leap: f64| {
        let share = 1.0 - (-leap).exp();
        0.5 * (share.ln() + loss / (alpha_bar * share) + loss * (leap.exp() - 1.0) - loss * leap)
    };
    for off in [-0.05, -0.02, 0.02, 0.05, 0.5] {
        assert!(cost(found) <= cost(found + off), "{found}");
    }
    // The chain has the variance that was reckoned with.
    let schedule = losses.schedule([9.0, -9.0], 1000, found).unwrap();
    let expected = schedule.one_minus_alpha_bar(1) * (1.0 - (-found).exp());
    assert!((schedule.posterior_variance(2) / expected - 1.0).abs() < 1e-6);
}
