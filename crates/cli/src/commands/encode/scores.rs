//! What a round trip costs.

use serde_json::{Value, json};

/// How far what came back is from what was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score {
    /// Of squares, of values in [-1, 1].
    mean_square: f64,
    /// Largest difference of a value.
    largest: f64,
}

impl Score {
    pub(super) fn of(given: &[f32], returned: &[f32]) -> Self {
        let differences = || given.iter().zip(returned).map(|(a, b)| f64::from(a - b));
        Self {
            mean_square: differences().map(|d| d * d).sum::<f64>() / given.len().max(1) as f64,
            largest: differences().map(f64::abs).fold(0.0, f64::max),
        }
    }

    /// Peak signal-to-noise ratio in dB, with a peak of 2, the width of [-1, 1]; infinite where nothing differs.
    fn psnr(self) -> f64 {
        10.0 * (4.0 / self.mean_square).log10()
    }

    pub(super) fn json(&self) -> Value {
        // JSON has no infinity.
        let psnr = Some(self.psnr()).filter(|psnr| psnr.is_finite());
        json!({ "psnr_db": psnr, "mean_square_error": self.mean_square, "largest_difference": self.largest })
    }
}

/// All round trips in a line.
pub(super) fn summary(scores: &[Score]) -> String {
    let worst = scores.iter().copied().max_by(|a, b| a.mean_square.total_cmp(&b.mean_square));
    let largest = scores.iter().map(|score| score.largest).fold(0.0, f64::max);
    let mean = scores.iter().map(|score| score.psnr().min(200.0)).sum::<f64>() / scores.len().max(1) as f64;
    match (worst, scores.len()) {
        (Some(worst), 1) => format!("round trip: PSNR {:.1} dB, largest difference {largest:.4} (of 2)", worst.psnr()),
        (Some(worst), _) => format!(
            "round trip: PSNR {mean:.1} dB in the mean, {:.1} dB for the worst picture, largest difference {largest:.4} (of 2)",
            worst.psnr()
        ),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_peak_and_error() {
        let score = Score::of(&[0.0, 0.5, 1.0, -1.0], &[0.02, 0.48, 1.02, -0.98]);
        // An error of 1 % of the peak everywhere: 40 dB.
        assert!((score.psnr() - 40.0).abs() < 1e-4 && (score.largest - 0.02).abs() < 1e-6, "{score:?}");
        assert!(summary(&[score]).contains("PSNR 40.0 dB"), "{}", summary(&[score]));
        let same = Score::of(&[0.3], &[0.3]);
        assert!(same.json()["psnr_db"].is_null() && summary(&[same]).contains("inf"), "{}", summary(&[same]));
    }
}
