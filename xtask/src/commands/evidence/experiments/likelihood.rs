//! `likelihood`: the preset for few bits, after the steps of ten minutes and of an hour.

use super::super::figures::Figures;
use super::super::scores::{Estimate, Scores};
use super::super::work::Work;
use super::rows;

/// Names of the runs, and steps of each: two cores that see 182 pictures a second take ten minutes for the first, and an hour for the second.
const RUNS: [(&str, &str, [u64; 2]); 2] = [("ten", "1,700 steps", [20, 1700]), ("hour", "10,200 steps", [30, 10_200])];

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    figures.seed("training", 0);
    figures.seed("samples", 0);
    let (data, num, limit) = (work.dataset()?, rows::samples(work), work.pick("--limit 40", ""));
    let more = work.pick(format!("--set held_out.every=5 --dataset {data}"), "--set held_out.every=850".to_owned());
    for (name, column, steps) in RUNS {
        let name = format!("likelihood-{name}");
        let run = work.train(&name, steps, &format!("--preset likelihood {more}"))?;
        rows::training(work, figures, "training", column, &run)?;
        let scores = work.eval(&name, &format!("--model {run}/model --dataset {data} --samples {num} {limit}"))?;
        figures.depends_on(&scores, column);
        rows::bound(figures, "bound", column, &scores)?;
        rows::distances(figures, "distances", column, &scores)?;
        for line in Scores::lines(&work.path(&run).join("metrics.jsonl"))? {
            if line.has("/held_out") {
                let row = format!("step {}", line.number("/step")?);
                let value = line.number("/held_out/bits_per_dim")?;
                let standard_error = line.number("/held_out/standard_error")?;
                figures.at("curve", &row).interval(column, "bits/dim", Estimate { value, standard_error });
            }
        }
    }
    Ok(())
}
