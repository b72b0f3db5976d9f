//! Where the steps of diffusers' DDIMScheduler lead.

use sfumato_process::{Chain, sampler::Leaps};

/// Each step leads `⌊T / S⌋` steps down, whichever step is visited next.
///
/// With spacing `leading`, and with `trailing` where `S` divides `T`, this is the same as [`Leaps::visited`]. Elsewhere the
/// network is shown states with a little more noise, or less, than it is told.
pub fn strided(chain: &Chain) -> Leaps {
    let stride = chain.trained_schedule().steps() / chain.steps();
    Leaps::new(chain.original_steps().iter().rev().map(|&t| (t, t.saturating_sub(stride))).collect())
}

/// The same leaps, but what led to clean data leads to `t = 1`: diffusers' `set_alpha_to_one = false`.
pub fn ending_at_first_step(leaps: Leaps) -> Leaps {
    Leaps::new(leaps.pairs().iter().map(|&(t, s)| (t, s.max(1))).collect())
}

#[cfg(test)]
mod tests {
    use sfumato_process::Parameterization;
    use sfumato_schedule::ScheduleConfig;

    use super::*;
    use crate::Spacing;

    fn chain(spacing: Spacing, count: usize) -> Chain {
        let schedule = ScheduleConfig::default().build().unwrap();
        let steps = spacing.timesteps(1000, count).unwrap();
        Chain::respaced(&schedule, &steps, Parameterization::Epsilon).unwrap()
    }

    #[test]
    fn strides_are_the_visited_steps_where_they_divide_the_chain() {
        let whole = chain(Spacing::Trailing, 4);
        assert_eq!(strided(&whole), Leaps::visited(&whole));
        assert_eq!(ending_at_first_step(Leaps::visited(&whole)).pairs()[3], (250, 1));
        let leading = chain(Spacing::Leading, 7);
        assert_eq!(strided(&leading), Leaps::visited(&leading));
        let odd = chain(Spacing::Trailing, 7);
        assert_eq!((strided(&odd).pairs()[0], Leaps::visited(&odd).pairs()[0]), ((1000, 858), (1000, 857)));
    }
}
