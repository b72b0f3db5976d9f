//! `adam`: the recipe that the default preset had before Muon and strata, on the same network, pictures and steps.

use super::super::figures::Figures;
use super::super::work::Work;
use super::rows;

/// What differs from the default preset.
const RECIPE: &str = "--set optimizer.method=adam --set objective.density=uniform";

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    figures.seed("training", 0);
    let run = work.train("adam", rows::STEPS, RECIPE)?;
    rows::training(work, figures, "training", "Adam, uniform steps", &run)?;
    let (data, num, limit) = (work.dataset()?, rows::samples(work), work.pick("--limit 40", ""));
    let scores = work.eval(
        "adam",
        &format!("--model {run}/model --dataset {data} --variance fixed-small --samples {num} {limit}"),
    )?;
    figures.depends_on(&scores, "the run");
    rows::bound(figures, "bound", "test split", &scores)?;
    figures.seed("samples", 0);
    rows::distances(figures, "distances", "ddpm, 50 steps", &scores)?;
    rows::floors(figures, "distances", &scores)?;
    // The same noise as the reference model's grid.
    let grid = work.sample("adam-grid", &format!("--model {run}/model --num 64 --seed 0"))?;
    let about = "64 samples of the model trained by Adam, seed 0, ddpm with 50 steps";
    figures.picture("adam-samples.png", about, work.path(&grid).join("grid.png"));
    Ok(())
}
