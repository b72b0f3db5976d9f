//! `adam`: what the default preset was before Muon and stratified steps.

use super::super::figures::Figures;
use super::super::work::Work;
use super::rows;

/// What the preset has not had before.
const BEFORE: &str = "--set optimizer.method=adam --set objective.density=uniform";

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    figures.seed("training", 0);
    figures.seed("samples", 0);
    let run = work.train("adam", rows::STEPS, BEFORE)?;
    rows::training(work, figures, "training", "Adam, uniform steps", &run)?;
    let (data, num, limit) = (work.dataset()?, rows::samples(work), work.pick("--limit 40", ""));
    let scores = work.eval(
        "adam",
        &format!("--model {run}/model --dataset {data} --variance fixed-small --samples {num} {limit}"),
    )?;
    figures.depends_on(&scores, "the run with Adam");
    rows::bound(figures, "bound", "Adam, uniform steps", &scores)?;
    rows::distances(figures, "distances", "Adam, uniform steps", &scores)?;
    let grid = work.sample("adam-grid", &format!("--model {run}/model --num 64 --seed 0"))?;
    let about = "64 samples of the model trained with Adam, seed 0, ddpm with 50 steps";
    figures.picture("adam-samples.png", about, work.path(&grid).join("grid.png"));
    Ok(())
}
