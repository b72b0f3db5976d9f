//! How many steps fit into a time limit: a learning rate that falls to 0 has to know where it ends.
//!
//! A decay that is laid over more steps than there is time for never gets low. So a run with a limit holds its rate until its first
//! steps are measured, fixes the number of steps that fits, and lets the rate fall over those. Where the machine's speed changes,
//! the plan is made anew from there. Every decision is a [`PlanPoint`] of the configuration: the learning rate stays a pure
//! function of the configuration and the step, whatever the clock says later.

use serde::{Deserialize, Serialize};

/// From here on the decay leads to another step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPoint {
    /// It holds for the steps after this one.
    pub after: u64,
    /// How much of the decay is done at `after`, from 0 to 1.
    pub progress: f64,
    /// The step at which the decay ends, and the run; while none is known the rate is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// How much of the decay is done at step `step` (from 1), from 0 to 1: it begins after step `start`, and leads to step `steps`
/// unless `plan` says otherwise.
pub(crate) fn decay_progress(plan: &[PlanPoint], start: u64, step: u64, steps: u64) -> f64 {
    let line = |progress: f64, from: u64, steps: u64| {
        let left = (1.0 - progress) * step.saturating_sub(from) as f64 / (steps.saturating_sub(from) + 1) as f64;
        (progress + left).min(1.0)
    };
    match plan.iter().rev().find(|point| point.after < step) {
        Some(PlanPoint { progress, steps: None, .. }) => *progress,
        Some(PlanPoint { after, progress, steps: Some(steps) }) => line(*progress, start.max(*after), *steps),
        None => line(0.0, start, steps),
    }
}

/// The last step under `plan`, which is `steps` where nothing is planned.
pub(crate) fn last_step(plan: &[PlanPoint], steps: u64) -> u64 {
    plan.last().and_then(|point| point.steps).unwrap_or(steps)
}

/// Part of the limit that is left as a reserve.
const RESERVE: f64 = 0.02;
/// Fewest steps that are measured, unless they take [`MOST_MEASURED`] of the limit.
const FEWEST_MEASURED: u64 = 10;
/// Part of the limit after which as many steps as there are have to do, [`FEWEST`] at least.
const MOST_MEASURED: f64 = 0.1;
/// The first step of a process takes longer than others, so that two more are needed.
const FEWEST: u64 = 3;
/// Part of the limit over which speed is measured again.
const WINDOW: f64 = 0.05;
/// A plan that would end before this part of the limit is made longer, if the run may have more steps.
const TOO_EARLY: f64 = 0.93;

/// Watches the clock of a run with a time limit and says when its plan changes.
#[derive(Clone, Debug)]
pub(crate) struct Planner {
    /// Seconds that the run may take from its start, or from where it goes on.
    limit: f64,
    /// Steps done before.
    began: u64,
    /// Most steps of the run.
    most: u64,
    /// Step at which the first plan is made, at the latest.
    first_plan: u64,
    /// The end as it is planned, once it is.
    planned: Option<u64>,
    /// Where measuring began: step and seconds.
    mark: (u64, f64),
}

/// What the planner has decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// The last step.
    pub steps: u64,
    /// Seconds a step, as measured.
    pub seconds_per_step: f64,
    /// Whether it is the first plan of the run.
    pub first: bool,
}

impl Planner {
    /// For a run that has done `began` steps and may take `limit` seconds for the others, up to step `most`. Its rate rises up to
    /// step `warm`: nothing is lost by measuring until then.
    pub(crate) fn new(limit: f64, began: u64, warm: u64, most: u64) -> Self {
        let first_plan = warm.max(began + FEWEST_MEASURED);
        Self { limit, began, most, first_plan, planned: None, mark: (began, 0.0) }
    }

    /// Tells that `step` was done `seconds` after the start; a plan, where there is a new one.
    pub(crate) fn observe(&mut self, step: u64, seconds: f64) -> Option<Planned> {
        if step == self.began + 1 {
            self.mark = (step, seconds); // what it took beyond a step is not counted
            return None;
        }
        let per_step = (seconds - self.mark.1) / (step - self.mark.0) as f64;
        let Some(planned) = self.planned else {
            let enough = step - self.began >= FEWEST && seconds >= MOST_MEASURED * self.limit;
            return (step >= self.first_plan || enough).then(|| self.plan(step, seconds, per_step, true));
        };
        let end = seconds + planned.saturating_sub(step) as f64 * per_step;
        let window = seconds - self.mark.1 >= WINDOW * self.limit;
        let (late, early) = (end > self.limit, end < TOO_EARLY * self.limit && planned < self.most);
        // Towards the end there is no time for another window.
        let last = self.limit - seconds < WINDOW * self.limit;
        if step < planned && ((window && (late || early)) || (last && late)) {
            return Some(self.plan(step, seconds, per_step, false));
        }
        if window {
            self.mark = (step, seconds);
        }
        None
    }

    fn plan(&mut self, step: u64, seconds: f64, per_step: f64, first: bool) -> Planned {
        // Late, half of what is left of the reserve is kept, so that there is some for the rest.
        let reserve = if first { RESERVE } else { RESERVE / 2.0 };
        let left = ((1.0 - reserve) * self.limit - seconds).max(0.0);
        let fit = if per_step > 0.0 { (left / per_step).min(self.most as f64) as u64 } else { self.most };
        let steps = step.saturating_add(fit).clamp(step, self.most.max(step));
        self.planned = Some(steps);
        self.mark = (step, seconds);
        Planned { steps, seconds_per_step: per_step, first }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs the clock: the steps done, the seconds taken, and the plan.
    fn run(limit: f64, warm: u64, most: u64, time: impl Fn(u64) -> f64) -> (u64, f64, Vec<PlanPoint>) {
        let mut planner = Planner::new(limit, 0, warm, most);
        let mut plan = vec![PlanPoint { after: 0, progress: 0.0, steps: None }];
        let (mut step, mut seconds) = (0, 0.0);
        while step < last_step(&plan, most) && seconds < limit {
            step += 1;
            seconds += time(step);
            if let Some(planned) = planner.observe(step, seconds) {
                let progress = decay_progress(&plan, warm, step, most);
                plan.push(PlanPoint { after: step, progress, steps: Some(planned.steps) });
            }
        }
        (step, seconds, plan)
    }

    proptest! {
        #[test]
        fn a_run_at_any_speed_ends_annealed_and_in_time(
            per_step in 0.01..5.0_f64,
            steps_that_fit in 60.0..5000.0_f64,
            warm in 0..200_u64,
            most in 1..20_000_u64,
            noise in 0.0..0.3_f64,
        ) {
            let limit = per_step * steps_that_fit;
            let time = |step: u64| per_step * (1.0 + noise * (((step * 7919) % 1000) as f64 / 500.0 - 1.0));
            let (step, seconds, plan) = run(limit, warm, most, time);
            prop_assert!(seconds <= limit + 2.0 * per_step, "{seconds} of {limit}");
            prop_assert_eq!(step, last_step(&plan, most).min(most));
            // The time is used, unless there is nothing more to do.
            prop_assert!(step == most || seconds > 0.85 * limit, "{} of {} seconds", seconds, limit);
            let end = decay_progress(&plan, warm, step, most);
            // At the last of n steps of decay, n/(n + 1) of it is done.
            prop_assert!(step < warm + 20 || end > 0.9, "{end} at step {step}: {plan:?}");
        }

        #[test]
        fn a_machine_that_becomes_slower_or_faster_is_followed(
            factor in 0.3..3.0_f64,
            at in 0.1..0.7_f64,
            steps_that_fit in 500.0..5000.0_f64,
        ) {
            let limit = steps_that_fit;
            let change = (at * steps_that_fit) as u64;
            let (step, seconds, plan) = run(limit, 50, 1_000_000, |step| if step < change { 1.0 } else { factor });
            prop_assert!(seconds <= limit + 2.0 * factor && seconds > 0.9 * limit, "{seconds} of {limit}");
            prop_assert!(decay_progress(&plan, 50, step, 1_000_000) > 0.98, "{plan:?}");
            prop_assert!(plan.len() < 25, "{}", plan.len());
        }

        #[test]
        fn progress_never_falls_and_never_jumps(
            points in prop::collection::vec((1..400_u64, 1..500_u64), 1..6),
            start in 0..100_u64,
        ) {
            let (mut plan, mut after) = (vec![PlanPoint { after: 0, progress: 0.0, steps: None }], 0);
            for (gap, rest) in points {
                after += gap;
                let progress = decay_progress(&plan, start, after, 9999);
                plan.push(PlanPoint { after, progress, steps: Some(after + rest) });
            }
            let last = last_step(&plan, 9999);
            let at = |step: u64| decay_progress(&plan, start, step, 9999);
            for step in 1..last {
                let (here, next) = (at(step), at(step + 1));
                // A line that leads to a near end is as steep as it has to be.
                let rest = plan.iter().rev().find(|p| p.after <= step).and_then(|p| p.steps).unwrap_or(u64::MAX);
                let steepest = (1.0 - here) / (rest.saturating_sub(step.max(start)) + 1) as f64 + 1e-12;
                prop_assert!(here <= next && next - here <= steepest, "{here} to {next} at step {step}");
            }
        }
    }

    #[test]
    fn where_all_steps_fit_the_clock_has_no_say() {
        for speed in [0.01, 0.02, 0.1] {
            let (step, _, plan) = run(600.0, 100, 3200, |_| speed);
            assert_eq!(step, 3200);
            let expected =
                [(0, None), (100, Some(3200))].map(|(after, steps)| PlanPoint { after, progress: 0.0, steps });
            assert_eq!(plan, expected);
            // And the rate is that of a run without a limit.
            for step in 1..=3200 {
                assert_eq!(decay_progress(&plan, 100, step, 3200), decay_progress(&[], 100, step, 3200));
            }
        }
    }

    #[test]
    fn a_step_that_takes_as_long_as_the_limit_ends_the_run() {
        let (step, _, plan) = run(1.0, 10, 100, |_| 3.0);
        assert_eq!((step, plan.len()), (1, 1));
        let (step, seconds, _) = run(10.0, 10, 100, |_| 3.0);
        assert!(step <= 4 && seconds <= 12.0);
    }
}
