//! The regret for people: the table by noise level, and what it says.

use std::io::Write;

use anyhow::Result;
use sfumato_evaluate::{
    distances::Estimate,
    regret::{Figures, HeldOut, LevelFigures, Regret, Verdict, has_gap},
};

use super::Measured;
use crate::say;

impl Measured {
    /// The table on stdout.
    pub(in super::super) fn print(&self) -> Result<()> {
        say::result(|out| out.write_all(self.table().as_bytes()))
    }

    fn table(&self) -> String {
        let regret = &self.regret;
        let row = |name: &str, text: String| format!("{name:<10} {text}");
        let mut lines = vec![
            row("regret", format!("{}, loss ‖ε − ε̂‖² of a value; 1 is knowing nothing", self.model)),
            row("examples", self.examples()),
            row("optimum", self.optimum()),
            String::new(),
            heading(regret.mean.held_out.is_some()),
        ];
        lines.extend(
            regret.levels.iter().map(|LevelFigures { level, figures }| {
                line(&format!("{:>6} {:>8.2}", level.t, level.log_snr), figures)
            }),
        );
        lines.push(line(&format!("{:<15}", "mean over t"), &regret.mean));
        lines.push(String::new());
        lines.extend(sentences(regret));
        lines.push(format!("± is the standard error over the examples. Measured in {:.1} s.", self.seconds));
        lines.join("\n") + "\n"
    }

    fn examples(&self) -> String {
        let Regret { train_examples, held_out_examples, mixture, .. } = self.regret;
        let [train, held_out] = &self.data;
        let stopped = if train_examples < self.wanted {
            format!(" (stopped after {train_examples} of {})", self.wanted)
        } else {
            String::new()
        };
        let held_out = match held_out_examples {
            0 => "none held out".to_owned(),
            count => format!("{count} of the test split of {held_out}, with the same noise"),
        };
        let times = if train_examples > mixture { ", each several times with other noise" } else { "" };
        format!("{train_examples} of the {mixture} training examples of {train}{times}; {held_out}{stopped}")
    }

    fn optimum(&self) -> String {
        let Regret { mixture, mirrored, within_classes, .. } = self.regret;
        let mirrored = if mirrored { ", each mirrored too, as in training" } else { "" };
        let classes = if within_classes { "; it knows the example's class, as the model does" } else { "" };
        format!("the perfect denoiser of all {mixture} training examples{mirrored}{classes}")
    }
}

fn heading(held_out: bool) -> String {
    let columns: &[&str] = if held_out {
        &["optimum", "training", "regret", "held out", "gap", "by heart"]
    } else {
        &["optimum", "training", "regret"]
    };
    let columns: String = columns.iter().map(|name| format!(" {name:>9} {:>8}", "±")).collect();
    format!("{:>6} {:>8}{columns}", "t", "log SNR")
}

fn line(name: &str, figures: &Figures) -> String {
    let mut all = vec![figures.optimum, figures.train, figures.regret];
    if let Some(HeldOut { loss, memoriser, gap }) = figures.held_out {
        all.extend([loss, gap, memoriser]);
    }
    let column = |estimate: &Estimate| format!(" {:>9} {:>8}", short(estimate.value), short(estimate.standard_error));
    name.to_owned() + &all.iter().map(column).collect::<String>()
}

/// Losses are between 1 and a thousandth, where they are worth to be compared.
fn short(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-4..100.0).contains(&size) => format!("{value:.4}"),
        size if (100.0..1e6).contains(&size) => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

fn within(estimate: Estimate) -> String {
    format!("{} ± {}", short(estimate.value), short(estimate.standard_error))
}

/// What the figures say, and no more.
fn sentences(regret: &Regret) -> Vec<String> {
    let mut lines = vec![of_the_regret(regret)];
    if let Some(held_out) = regret.mean.held_out {
        lines.extend(of_the_gap(regret, held_out));
        lines.push(format!(
            "The optimum itself, which knows the training examples by heart, has a held-out loss of {}; the model has {}.",
            within(held_out.memoriser),
            within(held_out.loss)
        ));
    } else {
        lines.push("Nothing is held out, so it cannot be told what was learned by heart.".to_owned());
    }
    lines
}

fn of_the_regret(regret: &Regret) -> String {
    let found = regret.mean.regret;
    let above =
        format!("On training examples the model is {} above the optimum, in the mean over all steps", within(found));
    if found.value <= 2.0 * found.standard_error {
        return format!("{above}: equal within the error.");
    }
    // From little noise on, where most of it is.
    let mut sum = 0.0;
    let half = regret.levels.iter().find(|LevelFigures { level, figures }| {
        sum += level.share * figures.regret.value;
        sum >= 0.5 * found.value
    });
    let half = half.map_or_else(String::new, |LevelFigures { level, .. }| {
        format!("; half of that lies at t ≤ {} (log SNR ≥ {:.1})", level.t, level.log_snr)
    });
    format!("{above}{half}.")
}

fn of_the_gap(regret: &Regret, held_out: HeldOut) -> Vec<String> {
    let gap = held_out.gap;
    let at: Vec<&LevelFigures> = regret.levels.iter().filter(|level| has_gap(level)).collect();
    let levels = match &at[..] {
        [] => String::new(),
        [one] => format!(", at t = {} by more than three standard errors", one.level.t),
        [first, .., last] => format!(
            ", at {} levels from t = {} to {} by more than three standard errors each",
            at.len(),
            first.level.t,
            last.level.t
        ),
    };
    let cost = format!("Held-out examples cost {} more than training examples{levels}.", within(gap));
    let above = regret.mean.regret.value + gap.value;
    let share = (above > 0.0).then(|| (100.0 * gap.value / above).clamp(0.0, 100.0));
    let share =
        share.map_or_else(String::new, |share| format!("{share:.0} % of the held-out loss above the optimum is gap. "));
    let or = "or the held-out examples are of another kind";
    match regret.verdict {
        Verdict::NoSign => vec![format!(
            "Training and held-out loss are equal within their error (gap {}, 95 % interval {} to {}): no sign that training examples were \
             learned by heart; a smaller gap would not be seen.",
            within(gap),
            short(gap.low),
            short(gap.high)
        )],
        Verdict::SomeByHeart => {
            vec![cost, format!("{share}Some of what was learned is about the training examples alone, {or}.")]
        }
        Verdict::MostlyByHeart => {
            vec![
                cost,
                format!(
                    "{share}The gap is larger than the regret: the model knows its training examples by heart for the most part, {or}."
                ),
            ]
        }
        Verdict::HeldOutEasier => vec![format!(
            "Held-out examples cost {} less than training examples: the two sets are not drawn alike, and it cannot be told what was learned by heart.",
            within(Estimate { value: -gap.value, ..gap })
        )],
        Verdict::NothingHeldOut => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_at_every_size() {
        for (value, expected) in [
            (0.0, "0.0000"),
            (0.02131, "0.0213"),
            (1e-9, "1.0e-9"),
            (31.25, "31.2500"),
            (1234.6, "1235"),
            (-2.5e7, "-2.5e7"),
        ] {
            assert_eq!(short(value), expected);
        }
    }
}
