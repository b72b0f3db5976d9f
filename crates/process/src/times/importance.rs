//! Steps by importance: Nichol & Dhariwal (2021), arXiv:2102.09672, §3.3.
//!
//! Uniform steps make the gradient of `L_vlb` noisy, since its terms differ by orders of magnitude. Importance sampling visits a step
//! as often as its loss is large, and divides by that frequency, so that the expectation stays.

use super::{TimeDraw, TimesError, table::StepTable};

/// Losses that are remembered for each step.
pub const HISTORY: usize = 10;
/// Share of the draws that stay uniform, so that no step is forgotten.
const UNIFORM_SHARE: f64 = 0.001;

/// The loss second moment sampler of Nichol & Dhariwal (2021), Eq. 18: `p_t ∝ √E[L_t²]`, over the last [`HISTORY`] losses at each
/// step, with 0.001 of the draws uniform. Uniform until every step has been seen that often.
///
/// # Examples
/// ```
/// use sfumato_process::times::{HISTORY, ImportanceTimes};
///
/// let mut times = ImportanceTimes::new(2);
/// for _ in 0..HISTORY {
///     times.record(&[1, 2], &[3.0, 1.0]);
/// }
/// let draw = times.draw(0.5);
/// assert!(draw.t == 1 && (draw.weight - 1.0 / (2.0 * 0.7495)).abs() < 1e-3);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ImportanceTimes {
    /// The last losses of step `t` in `[(t - 1) * HISTORY..]`, oldest first; `counts[t - 1]` of them are there.
    losses: Vec<f64>,
    counts: Vec<usize>,
    /// None until every step has its losses.
    table: Option<StepTable>,
}

impl ImportanceTimes {
    /// No losses yet, for a chain of `steps`.
    ///
    /// # Panics
    /// If `steps` is 0.
    pub fn new(steps: usize) -> Self {
        assert!(steps > 0, "a chain has at least one step");
        Self { losses: vec![0.0; steps * HISTORY], counts: vec![0; steps], table: None }
    }

    /// The state that [`losses`](Self::losses) and [`counts`](Self::counts) gave, to resume a run.
    ///
    /// # Errors
    /// [`TimesError`] if they are not those of a chain of `steps`.
    pub fn resumed(steps: usize, losses: Vec<f64>, counts: Vec<usize>) -> Result<Self, TimesError> {
        let expected = steps * HISTORY;
        if losses.len() != expected || counts.len() != steps || steps == 0 {
            return Err(TimesError::Length { steps, expected, losses: losses.len(), counts: counts.len() });
        }
        let sound = |(count, losses): (&usize, &[f64])| {
            *count <= HISTORY && losses.iter().all(|loss| loss.is_finite() && *loss >= 0.0)
        };
        if let Some(i) = counts.iter().zip(losses.chunks_exact(HISTORY)).position(|row| !sound(row)) {
            return Err(TimesError::Damaged { t: i + 1 });
        }
        let mut times = Self { losses, counts, table: None };
        times.update();
        Ok(times)
    }

    /// The remembered losses, [`HISTORY`] for each step, oldest first.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// How many losses each step has, at most [`HISTORY`].
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Whether every step has its losses, so that draws are no longer uniform.
    pub fn is_warm(&self) -> bool {
        self.table.is_some()
    }

    /// `p_t`, as things are now.
    ///
    /// # Panics
    /// If `t` is outside `1..=T`.
    pub fn probability(&self, t: usize) -> f64 {
        let steps = self.counts.len();
        assert!((1..=steps).contains(&t), "step t = {t} is outside 1..={steps}");
        self.table.as_ref().map_or(1.0 / steps as f64, |table| table.probability(t))
    }

    /// The step for a uniform number `u` in [0, 1).
    pub fn draw(&self, u: f64) -> TimeDraw {
        let steps = self.counts.len();
        match &self.table {
            None => TimeDraw::uniform(steps, u),
            Some(table) => {
                let t = table.quantile(u);
                TimeDraw { t, weight: 1.0 / (steps as f64 * table.probability(t)) }
            }
        }
    }

    /// Remembers the losses of a batch, not weighted, at steps `t`. A loss that is not finite is passed over.
    ///
    /// # Panics
    /// If the lengths differ or a step is outside `1..=T`.
    pub fn record(&mut self, t: &[usize], losses: &[f64]) {
        assert_eq!(t.len(), losses.len(), "one loss for each step");
        for (&t, loss) in t.iter().zip(losses).filter(|(_, loss)| loss.is_finite()) {
            let row = &mut self.losses[(t - 1) * HISTORY..t * HISTORY];
            let count = &mut self.counts[t - 1];
            if *count == HISTORY {
                row.rotate_left(1);
                row[HISTORY - 1] = loss.abs();
            } else {
                row[*count] = loss.abs();
                *count += 1;
            }
        }
        self.update();
    }

    fn update(&mut self) {
        if self.counts.iter().any(|&count| count < HISTORY) {
            return;
        }
        let root = |losses: &[f64]| (losses.iter().map(|loss| loss * loss).sum::<f64>() / HISTORY as f64).sqrt();
        let roots: Vec<f64> = self.losses.chunks_exact(HISTORY).map(root).collect();
        let total: f64 = roots.iter().sum();
        let each = 1.0 / roots.len() as f64;
        let share = |root: f64| if total > 0.0 { root / total } else { each };
        let probability = |&root: &f64| (1.0 - UNIFORM_SHARE) * share(root) + UNIFORM_SHARE * each;
        self.table = Some(StepTable::new(roots.iter().map(probability)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warm(losses: &[f64]) -> ImportanceTimes {
        let mut times = ImportanceTimes::new(losses.len());
        let t: Vec<usize> = (1..=losses.len()).collect();
        (0..HISTORY).for_each(|_| times.record(&t, losses));
        times
    }

    #[test]
    fn draws_are_uniform_until_every_step_has_its_losses() {
        let mut times = ImportanceTimes::new(4);
        for _ in 0..HISTORY {
            times.record(&[1, 2, 3], &[1.0, 2.0, 3.0]);
        }
        assert!(!times.is_warm());
        assert_eq!([0.0, 0.25, 0.6, 0.999].map(|u| times.draw(u).t), [1, 2, 3, 4]);
        assert_eq!(times.draw(0.3).weight, 1.0);
    }

    #[test]
    fn frequencies_follow_the_losses_and_the_weights_undo_them() {
        let losses = [8.0, 0.5, 0.0, 3.0];
        let times = warm(&losses);
        let n = 400_000;
        let (mut counts, mut mean) = ([0.0; 4], 0.0);
        for k in 0..n {
            let draw = times.draw((k as f64 + 0.5) / n as f64);
            counts[draw.t - 1] += 1.0 / n as f64;
            mean += draw.weight * losses[draw.t - 1] / n as f64;
        }
        for (count, loss) in counts.iter().zip(losses) {
            assert!((count - (0.999 * loss / 11.5 + 0.001 / 4.0)).abs() < 1e-5, "{counts:?}");
        }
        assert!((mean - 11.5 / 4.0).abs() < 1e-3, "{mean}");
    }

    #[test]
    fn only_the_last_losses_count_and_a_stored_state_draws_alike() {
        let mut times = warm(&[1.0, 1.0]);
        (0..HISTORY).for_each(|_| times.record(&[2], &[3.0]));
        times.record(&[1], &[f64::NAN]);
        assert!((times.draw(0.0).weight - 1.0 / (2.0 * (0.999 * 0.25 + 0.0005))).abs() < 1e-12);
        let again = ImportanceTimes::resumed(2, times.losses().to_vec(), times.counts().to_vec()).unwrap();
        assert_eq!(again, times);
        assert!(matches!(ImportanceTimes::resumed(3, vec![0.0; 20], vec![0; 2]), Err(TimesError::Length { .. })));
        let damaged = ImportanceTimes::resumed(1, vec![f64::NAN; HISTORY], vec![HISTORY]);
        assert_eq!(damaged, Err(TimesError::Damaged { t: 1 }));
    }

    #[test]
    fn losses_of_zero_leave_the_draws_uniform() {
        assert_eq!(warm(&[0.0, 0.0]).draw(0.75), TimeDraw { t: 2, weight: 1.0 });
    }
}
