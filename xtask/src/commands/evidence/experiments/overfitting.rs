//! `overfitting`: few pictures and a long training.

use std::path::Path;

use anyhow::{Context, ensure};

use super::super::figures::{Figures, Kind};
use super::super::scores::{Estimate, Scores};
use super::super::work::Work;

/// Pictures that are trained on, and pictures that are held out.
const PICTURES: [[usize; 2]; 2] = [[60, 40], [500, 1000]];
/// Side of the pictures. A step of small ones takes a third of the time, and it takes thousands of steps to learn 500 pictures by heart.
const SIDE: u32 = 16;
const STEPS: [u64; 2] = [24, 7000];

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    figures.seed("training", 0);
    work.pictures()?.write_splits(&work.path("data/few.npz"), work.pick(PICTURES[0], PICTURES[1]), false)?;
    figures.checksum_of(Kind::Given, "the 500 pictures", &work.path("data/few.npz"))?;
    let scores = work.pick(
        "--set held_out.every=4 --set held_out.examples=16",
        "--set held_out.every=500 --set held_out.examples=128",
    );
    let run = work.train(
        "few",
        STEPS,
        &format!(
            "--preset fashion-mnist-mini --dataset npy:data/few.npz --image-size {SIDE} --set optimizer.decay=constant {scores}"
        ),
    )?;
    let course = course(&work.path(&run))?;
    let best =
        (course.iter().min_by(|a, b| a.held_out.value.total_cmp(&b.held_out.value))).context("nothing was scored")?;
    let last = course.last().context("nothing was scored")?;
    let kept = step_of(&std::fs::canonicalize(work.path(&run).join("best")).context("there is no runs/few/best")?)?;
    figures.at("verdicts", "held-out bits rise after the best score").holds("holds", rises(best, last));
    figures.at("verdicts", "`best` is the checkpoint with the fewest held-out bits").holds("holds", kept == best.step);
    for (column, score) in [("best", best), ("last", last)] {
        figures.at("course", "step").ratio(column, "", score.step);
        figures.at("course", "held-out examples").interval(column, "bits/dim", score.held_out);
        figures.at("course", "training examples").interval(column, "bits/dim", score.training);
        let gap = score.held_out.value - score.training.value;
        figures.at("course", "gap").ratio(column, "bits/dim", gap);
    }
    for score in thinned(&course) {
        figures
            .at("curve", &format!("step {}", score.step))
            .interval("held-out examples", "bits/dim", score.held_out)
            .interval("training examples", "bits/dim", score.training);
    }
    for which in ["best", "model"] {
        scored(work, figures, &run, which)?;
    }
    let difference = work.compare("few", ["few-best", "few-model"])?;
    let bits = difference.bits("/total/difference")?;
    figures.at("scores", "bits/dim, last − best, image by image").interval("difference", "", bits);
    Ok(())
}

/// What a run scored at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score {
    step: f64,
    held_out: Estimate,
    training: Estimate,
}

/// All scores of a run.
fn course(run: &Path) -> anyhow::Result<Vec<Score>> {
    let lines = Scores::lines(&run.join("metrics.jsonl"))?;
    let scored = lines.iter().filter(|line| line.has("/held_out") && line.has("/training_examples"));
    let estimate = |line: &Scores, of: &str| {
        let value = line.number(&format!("{of}/bits_per_dim"))?;
        anyhow::Ok(Estimate { value, standard_error: line.number(&format!("{of}/standard_error"))? })
    };
    scored
        .map(|line| {
            let (held_out, training) = (estimate(line, "/held_out")?, estimate(line, "/training_examples")?);
            anyhow::Ok(Score { step: line.number("/step")?, held_out, training })
        })
        .collect()
}

/// Whether the last score is worse than the best by more than a hundredth of a bit: the same examples and noise are scored each time.
fn rises(best: &Score, last: &Score) -> bool {
    last.held_out.value > best.held_out.value + 0.01
}

/// At most a dozen scores, with the last one.
fn thinned(course: &[Score]) -> Vec<Score> {
    let every = course.len().div_ceil(12).max(1);
    let mut few: Vec<Score> = course.iter().rev().step_by(every).copied().collect();
    few.reverse();
    few
}

/// The step in the name of a checkpoint.
fn step_of(checkpoint: &Path) -> anyhow::Result<f64> {
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let step = name.strip_prefix("step-").and_then(|step| step.parse().ok());
    step.with_context(|| format!("{} is no checkpoint", checkpoint.display()))
}

/// Bound and regret of one of the run's checkpoints.
fn scored(work: &Work, figures: &mut Figures, run: &str, which: &str) -> anyhow::Result<()> {
    let column = if which == "best" { "best" } else { "last" };
    let examples = work.pick(20, 500);
    let scores = work.eval(
        &format!("few-{which}"),
        &format!("--model {run}/{which} --dataset npy:data/few.npz --regret --regret-examples {examples}"),
    )?;
    ensure!(scores.has("/regret/mean"), "the regret was not measured");
    figures.depends_on(&scores, column);
    figures.at("scores", "bits/dim of the held-out pictures").interval(column, "", scores.bits("/total")?);
    let mean = |of: &str| scores.estimate(&format!("/regret/mean/{of}"));
    for (name, of) in [
        ("loss of the perfect denoiser on training pictures", "optimum"),
        ("loss on training pictures", "train"),
        ("regret", "regret"),
        ("loss on held-out pictures", "held_out/loss"),
        ("gap", "held_out/gap"),
    ] {
        figures.at("scores", name).interval(column, "", mean(of)?);
    }
    figures.at("scores", "verdict of `eval --regret`").word(column, scores.text("/regret/verdict")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(step: f64, bits: f64) -> Score {
        let estimate = Estimate { value: bits, standard_error: 0.1 };
        Score { step, held_out: estimate, training: estimate }
    }

    #[test]
    fn a_course_is_thinned_to_its_end() {
        let course: Vec<Score> = (1..=30).map(|step| score(f64::from(step), 1.0)).collect();
        let few = thinned(&course);
        assert!(few.len() <= 12 && few.last() == course.last(), "{few:?}");
        assert_eq!(thinned(&course[..5]), course[..5]);
    }

    #[test]
    fn a_rise_is_more_than_rounding() {
        assert!(rises(&score(1.0, 3.0), &score(2.0, 3.02)) && !rises(&score(1.0, 3.0), &score(2.0, 3.005)));
        assert_eq!(step_of(Path::new("a/step-0000200")).unwrap(), 200.0);
        assert!(step_of(Path::new("a/model")).is_err());
    }
}
