//! `guidance`: the default network with classes, pushed towards them more and more strongly.

use anyhow::Context;

use super::super::arrays::Array;
use super::super::figures::Figures;
use super::super::scores::Estimate;
use super::super::work::Work;
use super::rows;

/// Classes of the data.
const CLASSES: usize = 10;
/// Samples of each weight; guidance takes two evaluations of the network for each step.
const SAMPLES: [u64; 2] = [40, 1000];
/// Weights of the guidance.
const WEIGHTS: [u32; 4] = [1, 2, 3, 4];

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    figures.seed("training", 0);
    figures.seed("samples", 0);
    let run = work.train("classes", rows::STEPS, "--class-conditional")?;
    rows::training(work, figures, "training", "with classes", &run)?;
    let (data, limit) = (work.dataset()?, work.pick(20, 2000));
    for (name, column, told) in [("told", "told the class", ""), ("untold", "told nothing", "--ignore-labels")] {
        let scores = work.eval(
            &format!("guidance-bound-{name}"),
            &format!("--model {run}/model --dataset {data} --variance fixed-small --limit {limit} {told}"),
        )?;
        figures.depends_on(&scores, "the run with classes");
        rows::bound(figures, "bound", column, &scores)?;
    }
    // A few pictures suffice to be told the classes of samples.
    work.pictures()?.write_splits(&work.path("data/classes.npz"), [200, 200], true)?;
    let mut last = None;
    for weight in WEIGHTS {
        let (name, column) = (format!("guidance-{weight}"), format!("{weight}"));
        let num = work.pick(SAMPLES[0], SAMPLES[1]);
        let drawn = work.sample(&name, &format!("--model {run}/model --num {num} --guidance {weight} --seed 0"))?;
        let scores = work.eval(&name, &format!("--dataset {data} --samples {drawn} --no-bound"))?;
        figures.depends_on(&scores, "the run with classes");
        rows::distances(figures, "guidance", &column, &scores)?;
        let agreement = agreement(work, &name, &drawn)?;
        figures.at("guidance", "class agreement").interval(&column, "", agreement);
        last = Some(scores);
    }
    rows::floors(figures, "guidance", &last.context("there is no guidance")?)?;
    let grid = work.sample("guidance-grid", &format!("--model {run}/model --num 100 --guidance 2 --seed 0"))?;
    let about = "Samples of all classes with guidance 2, a class in each column";
    figures.picture("guidance-samples.png", about, work.path(&grid).join("grid.png"));
    Ok(())
}

/// Share of the samples that the classifier of the features takes for what they were drawn as.
fn agreement(work: &Work, name: &str, drawn: &str) -> anyhow::Result<Estimate> {
    let samples = Array::read_f32(&work.path(drawn).join("samples.npy"))?;
    let (mut right, mut count) = (0.0, 0.0);
    for class in 0..work.pick(2, CLASSES) {
        // All classes are drawn in turn.
        let of_class = samples.every(CLASSES, class);
        // What is measured needs ten pictures; those of a small version are repeated.
        let of_class = of_class.repeated(10);
        let file = format!("data/{name}-{class}.npy");
        of_class.write(&work.path(&file))?;
        let scores = work
            .eval(&format!("{name}-{class}"), &format!("--dataset npy:data/classes.npz --samples {file} --no-bound"))?;
        right += of_class.len() as f64 * scores.number(&format!("/distances/class_shares/0/{class}"))?;
        count += of_class.len() as f64;
    }
    Ok(Estimate::share(right, count))
}
