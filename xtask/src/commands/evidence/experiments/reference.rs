//! `reference`: the default preset.

use super::super::figures::Figures;
use super::super::work::Work;
use super::rows;

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let run = rows::reference_run(work, figures)?;
    rows::training(work, figures, "training", "default preset", &run)?;
    let bound = rows::reference_bound(work, figures)?;
    rows::bound(figures, "bound", "test split", &bound)?;
    figures.at("bound", "pictures").exact("test split", "", bound.number("/examples")?);

    let (data, num) = (work.dataset()?, rows::samples(work));
    figures.seed("samples", 0);
    let ancestral =
        work.eval("reference-ddpm", &format!("--model {run}/model --dataset {data} --samples {num} --no-bound"))?;
    let drawn = work.sample(
        "reference-dpm",
        &format!("--model {run}/model --num {num} --sampler dpm-solver++ --steps 20 --seed 0"),
    )?;
    let solver = work.eval("reference-dpm", &format!("--dataset {data} --samples {drawn} --no-bound"))?;
    for (column, scores) in [("ddpm, 50 steps", &ancestral), ("dpm-solver++, 20 steps", &solver)] {
        figures.depends_on(scores, "the reference run");
        rows::distances(figures, "distances", column, scores)?;
    }
    rows::floors(figures, "distances", &ancestral)?;
    for column in ["ddpm, 50 steps", "dpm-solver++, 20 steps", "floor"] {
        figures.at("distances", "pictures").exact(column, "", num as f64);
    }
    let grid = work.sample("reference-grid", &format!("--model {run}/model --num 64 --seed 0"))?;
    let about = "64 samples of the default preset's model, seed 0, ddpm with 50 steps";
    figures.picture("reference-samples.png", about, work.path(&grid).join("grid.png"));
    Ok(())
}
