//! `seeds`: which figures tell models apart.

use super::super::figures::Figures;
use super::super::scores::{Estimate, Scores};
use super::super::work::Work;
use super::rows;

/// Standard errors of the difference within which two seeds count as the same.
const SAME: f64 = 3.0;
/// Standard errors beyond which a model is far outside.
const FAR: f64 = 10.0;

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let first = rows::reference_run(work, figures)?;
    let second = work.train("seed-1", rows::STEPS, "--seed 1")?;
    let early = work.train("early", [2, 200], "")?;
    figures.seed("second training", 1);
    figures.seed("samples", 0);
    let scores = [("seed 0", &first), ("seed 1", &second), ("200 steps", &early)].map(|(name, run)| {
        let scores = scored(work, run)?;
        figures.depends_on(&scores, name);
        named(&scores)
    });
    let [first, second, early] = scores;
    let (first, second, early) = (first?, second?, early?);
    for ((name, a), ((_, b), (_, c))) in first.into_iter().zip(second.into_iter().zip(early)) {
        figures
            .at("models", name)
            .interval("seed 0", "", a)
            .interval("seed 1", "", b)
            .ratio("apart, in standard errors", "", a.apart(b))
            .interval("200 steps", "", c)
            .ratio("apart from seed 0", "", a.apart(c));
        figures
            .at("verdicts", name)
            .holds("the two seeds are the same", a.apart(b) <= SAME)
            .holds("200 steps are far outside", a.apart(c) > FAR && b.apart(c) > FAR);
    }
    copies(work, figures)
}

/// Bound and distances of a run's model.
fn scored(work: &Work, run: &str) -> anyhow::Result<Scores> {
    let (data, num, limit) = (work.dataset()?, rows::samples(work), work.pick(20, 2000));
    let name = run.replace("runs/", "seeds-");
    work.eval(
        &name,
        &format!("--model {run}/model --dataset {data} --variance fixed-small --limit {limit} --samples {num}"),
    )
}

/// Every figure by name. Whether there are copies is none that tells good models from bad ones.
fn named(scores: &Scores) -> anyhow::Result<Vec<(&'static str, Estimate)>> {
    let mut all = vec![("bits/dim", scores.bits("/total")?)];
    all.extend(rows::measured(scores, "")?.into_iter().filter(|(name, _)| *name != "copies"));
    Ok(all)
}

/// Training pictures that are given as samples.
fn copies(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let num = work.pick(200, 2000);
    work.pictures()?.write_first(&work.path("data/training.npy"), num)?;
    let data = work.dataset()?;
    let scores = work.eval("seeds-copies", &format!("--dataset {data} --samples data/training.npy --no-bound"))?;
    figures.depends_on(&scores, "none");
    figures.at("copies", "pictures").exact("training pictures given as samples", "", num as f64);
    for (name, estimate) in rows::measured(&scores, "")? {
        figures.at("copies", name).interval("training pictures given as samples", "", estimate);
    }
    rows::floors(figures, "copies", &scores)?;
    let copies = scores.estimate("/distances/copies")?.value;
    let copying =
        if scores.has("/distances/data_copying") { scores.number("/distances/data_copying/value")? } else { 0.0 };
    figures
        .at("copies", "called memorised (more than half are copies, C_T below -10)")
        .holds("training pictures given as samples", copies > 0.5 && copying < -10.0);
    Ok(())
}
