//! `precision`: the default preset trained in f32 and in bf16, scored on the same pictures.

use super::super::figures::Figures;
use super::super::work::Work;
use super::rows;

/// Names of the columns, the runs they are of, and how their models are scored.
const COLUMNS: [(&str, &str, &str); 3] =
    [("f32", "reference", "f32"), ("bf16", "bf16", "f32"), ("bf16, scored in bf16", "bf16", "bf16")];

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    rows::reference_run(work, figures)?;
    work.train("bf16", rows::STEPS, "--precision bf16")?;
    let (data, limit) = (work.dataset()?, work.pick(20, 2000));
    let mut names = Vec::new();
    for (column, run, precision) in COLUMNS {
        let name = format!("precision-{run}-{precision}");
        let arguments = format!(
            "--model runs/{run}/model --dataset {data} --variance fixed-small --limit {limit} --precision {precision}"
        );
        let scores = work.eval(&name, &arguments)?;
        figures.depends_on(&scores, column);
        rows::training(work, figures, "training", column, &format!("runs/{run}"))?;
        rows::bound(figures, "bound", column, &scores)?;
        names.push((column, name));
    }
    let (_, first) = &names[0];
    for (column, name) in &names[1..] {
        let found = work.compare(&format!("{name}-against-f32"), [first, name])?;
        figures.at("bound", "total, against f32").interval(column, "bits/dim", found.bits("/total/difference")?);
    }
    Ok(())
}
