//! What losses on training and on held-out examples say about each other.

use serde::Serialize;

use super::{Figures, LevelFigures};

/// Standard errors beyond which a gap of the means over all steps counts.
const OF_THE_MEAN: f64 = 2.0;
/// Standard errors beyond which the gap at one level counts. There are about 20 levels: one of them is so far from nothing by chance in
/// one case of 40.
const OF_A_LEVEL: f64 = 3.0;

/// What the gap between held-out and training loss says.
///
/// A model can only learn training examples by heart to the cost of others. So the gap tells, as far as both sets are drawn alike. The
/// regret alone does not: any network that has not learned the training set by heart is above its optimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There are no held-out examples.
    NothingHeldOut,
    /// No gap beyond two standard errors, and at no level one beyond three: no sign that anything was learned by heart. A gap that is
    /// smaller than the errors would not be seen.
    NoSign,
    /// Held-out examples cost more: some of what was learned is about the training examples alone, or the two sets are not drawn alike.
    SomeByHeart,
    /// Held-out examples cost more, and the gap is larger than the regret: of what lies between the optimum and the held-out loss, most
    /// is learned by heart.
    MostlyByHeart,
    /// Held-out examples cost less: the two sets are not drawn alike.
    HeldOutEasier,
}

impl Verdict {
    pub(super) fn of(levels: &[LevelFigures], mean: &Figures) -> Self {
        let Some(held_out) = mean.held_out else { return Self::NothingHeldOut };
        let (gap, regret) = (held_out.gap, mean.regret);
        let worse = gap.value > OF_THE_MEAN * gap.standard_error || levels.iter().any(has_gap);
        match worse {
            true if gap.value > regret.value => Self::MostlyByHeart,
            true => Self::SomeByHeart,
            false if gap.value < -OF_THE_MEAN * gap.standard_error => Self::HeldOutEasier,
            false => Self::NoSign,
        }
    }
}

/// Whether held-out examples cost more at this level than chance explains.
pub fn has_gap(level: &LevelFigures) -> bool {
    level.figures.held_out.is_some_and(|held_out| held_out.gap.value > OF_A_LEVEL * held_out.gap.standard_error)
}

#[cfg(test)]
mod tests {
    use super::{super::HeldOut, *};
    use crate::distances::Estimate;
    use crate::regret::Level;

    fn figures(regret: f64, gap: f64, error: f64) -> Figures {
        let sure = |value| Estimate::new(value, 0.0);
        let held_out = HeldOut { loss: sure(1.0), memoriser: sure(2.0), gap: Estimate::new(gap, error) };
        Figures { optimum: sure(0.0), train: sure(regret), regret: sure(regret), held_out: Some(held_out) }
    }

    #[test]
    fn a_gap_counts_beyond_its_error_and_at_one_level_beyond_more() {
        let level =
            |gap| LevelFigures { level: Level { t: 1, log_snr: 0.0, share: 1.0 }, figures: figures(0.1, gap, 0.01) };
        let quiet = [level(0.0), level(0.029)];
        assert_eq!(Verdict::of(&quiet, &figures(0.1, 0.019, 0.01)), Verdict::NoSign);
        assert_eq!(Verdict::of(&quiet, &figures(0.1, -0.019, 0.01)), Verdict::NoSign);
        assert_eq!(Verdict::of(&quiet, &figures(0.1, 0.021, 0.01)), Verdict::SomeByHeart);
        assert_eq!(Verdict::of(&quiet, &figures(0.1, 0.2, 0.01)), Verdict::MostlyByHeart);
        assert_eq!(Verdict::of(&quiet, &figures(0.1, -0.021, 0.01)), Verdict::HeldOutEasier);
        assert_eq!(Verdict::of(&[level(0.031)], &figures(0.1, 0.0, 0.01)), Verdict::SomeByHeart);
        let alone = Figures { held_out: None, ..figures(0.1, 0.0, 0.01) };
        assert_eq!(Verdict::of(&quiet, &alone), Verdict::NothingHeldOut);
    }
}
