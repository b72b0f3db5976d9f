//! Best steps against all chains that there are, and leaps against respaced schedules.

use proptest::prelude::*;
use sfumato_schedule::{BestSteps, ChainCosts, NoiseSchedule};

/// Costs without any rule.
#[derive(Debug)]
struct Table {
    total: usize,
    first_two: Vec<f64>,
    leaps: Vec<f64>,
}

impl ChainCosts for Table {
    fn only(&self, _: usize) -> f64 {
        1.0
    }

    fn first_two(&self, s: usize, t: usize) -> f64 {
        self.first_two[s * self.total + t - 1]
    }

    fn leap(&self, s: usize, t: usize) -> f64 {
        self.leaps[s * self.total + t - 1]
    }
}

impl Table {
    fn cost(&self, steps: &[usize]) -> f64 {
        let [first, second, ..] = steps else { return self.only(self.total) };
        let leaps = steps[1..].windows(2).map(|pair| self.leap(pair[0], pair[1]));
        leaps.fold(self.first_two(*first, *second), |sum, leap| sum + leap)
    }
}

fn tables() -> impl Strategy<Value = Table> {
    (1..10_usize).prop_flat_map(|total| {
        let cost = prop_oneof![9 => -5.0..5.0, 1 => Just(f64::INFINITY)];
        let costs = prop::collection::vec(cost, total * total + total);
        (costs.clone(), costs).prop_map(move |(first_two, leaps)| Table { total, first_two, leaps })
    })
}

/// All chains of `count` steps up to `total`, which ends each.
fn chains(total: usize, count: usize) -> Vec<Vec<usize>> {
    let all = (0..1_u32 << (total - 1)).filter(|set| set.count_ones() as usize == count - 1);
    let steps = |set: u32| (1..total).filter(|t| set & (1 << (t - 1)) != 0).chain([total]).collect();
    all.map(steps).collect()
}

proptest! {
    #[test]
    fn no_chain_is_cheaper_than_the_best(table in tables(), spare in 0..3_usize) {
        let total = table.total;
        let best = BestSteps::find(total, total + spare, &table);
        prop_assert_eq!(best.most(), total);
        for count in 1..=total {
            let least = chains(total, count).iter().map(|steps| table.cost(steps)).fold(f64::INFINITY, f64::min);
            prop_assert_eq!(best.cost(count), Some(least));
            match best.steps(count) {
                Some(steps) => {
                    prop_assert_eq!((steps.len(), steps[count - 1]), (count, total));
                    prop_assert_eq!(table.cost(&steps), least);
                }
                None => prop_assert_eq!(least, f64::INFINITY),
            }
        }
        prop_assert_eq!((best.steps(0), best.steps(total + 1), best.cost(0)), (None, None, None));
    }

    #[test]
    fn fewer_numbers_of_steps_are_the_first_of_more(table in tables(), most in 0..10_usize) {
        let (some, all) = (BestSteps::find(table.total, most, &table), BestSteps::find(table.total, 99, &table));
        for count in 1..=most.min(table.total) {
            prop_assert_eq!((some.cost(count), some.steps(count)), (all.cost(count), all.steps(count)));
        }
    }

    #[test]
    fn a_leap_is_a_step_of_the_respaced_schedule(
        betas in prop::collection::vec(1e-4..0.3_f64, 2..40),
        pair in any::<[prop::sample::Index; 2]>(),
    ) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let [a, b] = pair.map(|index| 1 + index.index(schedule.steps()));
        prop_assume!(a != b);
        let (s, t) = (a.min(b), a.max(b));
        let respaced = schedule.respace(&[s, t]).unwrap().schedule().clone();
        let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-11;
        let leap = schedule.leap(t, s);
        prop_assert!(close(leap.beta, respaced.beta(2)), "{} for {}", leap.beta, respaced.beta(2));
        prop_assert!(close(leap.posterior_variance, respaced.posterior_variance(2)));
        prop_assert!(close(leap.x_0, respaced.posterior_mean_coefficients(2).x_0));
        let last = schedule.leap(s, 0);
        prop_assert!(close(last.beta, respaced.beta(1)));
        prop_assert_eq!((last.posterior_variance, close(last.x_0, 1.0)), (0.0, true));
    }
}
