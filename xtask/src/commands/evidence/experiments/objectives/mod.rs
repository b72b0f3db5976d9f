//! `objectives`: one budget of steps, many recipes, two seeds of each: what helps the likelihood, and what the pictures.

mod recipes;

use std::thread::available_parallelism;

use self::recipes::{RECIPES, Recipe, Then};
use super::super::figures::Figures;
use super::super::job::{Job, words};
use super::super::scores::Scores;
use super::super::work::Work;

/// Steps of every training.
const STEPS: [u64; 2] = [8, 300];
/// Test pictures that the bound is that of.
const PICTURES: [u64; 2] = [20, 200];
/// Samples that distances are measured on.
const SAMPLES: [u64; 2] = [20, 500];
/// How they are drawn: as close to the data as 50 steps of the default sampler, in less time.
const SAMPLER: &str = "--sampler dpm-solver++-sde --steps 20";
const SEEDS: [u64; 2] = [0, 1];
/// The preset without what was chosen by this table; a recipe's own settings come later and win.
const BASE: &str = "--set optimizer.method=adam --set objective.density=uniform";

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    for seed in SEEDS {
        figures.seed(&format!("training {seed}"), seed);
    }
    figures.seed("samples", 0);
    let pick = |[quick, full]: [u64; 2]| work.pick(quick, full);
    let plan = Plan { work, steps: pick(STEPS), pictures: pick(PICTURES), samples: pick(SAMPLES) };
    for recipe in &RECIPES {
        plan.train(recipe)?;
        for (seed, scores) in SEEDS.into_iter().zip(plan.score(recipe)?) {
            plan.rows(figures, recipe, seed, &scores)?;
        }
    }
    Ok(())
}

struct Plan<'a> {
    work: &'a Work,
    steps: u64,
    pictures: u64,
    samples: u64,
}

impl Plan<'_> {
    /// Trains both seeds of a recipe.
    fn train(&self, recipe: &Recipe) -> anyhow::Result<()> {
        let (tiny, data) = (self.work.tiny(), self.data()?);
        let job = |name: String, seed: u64, steps: u64, more: &str| {
            let arguments = words(&format!(
                "train --out runs/{name} --preset fashion-mnist-mini {BASE} {data} --steps {steps} --seed {seed} --threads 1 \
                 --sample-every 0 --set held_out.every=0 {} {more} {tiny}",
                recipe.settings
            ));
            self.work.sfumato(&format!("train-{name}"), arguments).making(&format!("runs/{name}"))
        };
        let name = |seed| format!("{}-{seed}", recipe.name);
        if let Some(small) = &recipe.small_first {
            let steps = self.work.pick(4, small.steps);
            self.both(|seed| {
                job(format!("{}-small", name(seed)), seed, steps, &format!("--image-size {}", small.side))
            })?;
            let rest = self.work.pick(6, small.then);
            return self
                .both(|seed| job(name(seed), seed, rest, &format!("--init-from runs/{}-small/model", name(seed))));
        }
        if recipe.trained_as() == recipe.name {
            self.both(|seed| job(name(seed), seed, self.steps, ""))?;
        }
        match recipe.then {
            Then::Nothing => Ok(()),
            Then::Fit => {
                let (data, num) = (self.scored()?, self.work.pick(20, 1000));
                self.both(|seed| {
                    let model = model(recipe, seed);
                    let arguments = format!(
                        "eval --model {model} --dataset {data} --fit --fit-examples {num} --no-bound --threads 1"
                    );
                    self.work.sfumato(&format!("fit-{}", name(seed)), words(&arguments))
                })
            }
            Then::Average(width) => self.both(|seed| {
                let out = model(recipe, seed);
                let run = run_of(recipe, seed);
                let arguments = format!("average {run} --width {width} --out {out}");
                self.work.sfumato(&format!("average-{}", name(seed)), words(&arguments)).making(&out)
            }),
        }
    }

    /// Bound and distances of both seeds.
    fn score(&self, recipe: &Recipe) -> anyhow::Result<[Scores; 2]> {
        let (data, limit, num) = (self.scored()?, self.pictures, self.samples);
        self.both(|seed| {
            let (model, name) = (model(recipe, seed), scores(recipe, seed));
            let out = format!("samples/{name}");
            let arguments = format!("sample --model {model} --num {num} {SAMPLER} --out {out} --threads 1");
            self.work.sfumato(&format!("sample-{name}"), words(&arguments)).making(&out)
        })?;
        let variance = if recipe.then == Then::Fit { "--variance optimal" } else { "" };
        self.both(|seed| {
            let (model, name) = (model(recipe, seed), scores(recipe, seed));
            let arguments = format!(
                "eval --model {model} --dataset {data} --limit {limit} --samples samples/{name} {variance} \
                 --json scores/{name}.json --threads 1"
            );
            self.work.sfumato(&format!("eval-{name}"), words(&arguments))
        })?;
        let read = |seed| Scores::read(&self.work.path(&format!("scores/{}.json", scores(recipe, seed))));
        Ok([read(SEEDS[0])?, read(SEEDS[1])?])
    }

    fn rows(&self, figures: &mut Figures, recipe: &Recipe, seed: u64, scored: &Scores) -> anyhow::Result<()> {
        figures.depends_on(scored, &scores(recipe, seed));
        figures.at("recipes", recipe.about).word("settings", recipe.settings);
        let column = |of: &str| format!("{of}, seed {seed}");
        figures.at("bits", recipe.about).interval(&column("bits/dim"), "", scored.bits("/total")?);
        let base = &RECIPES[0];
        if recipe.name != base.name {
            let names = [scores(base, seed), scores(recipe, seed)];
            let found = self.work.compare(&format!("{}-against-base", names[1]), [&names[0], &names[1]])?;
            let difference = found.bits("/total/difference")?;
            figures.at("bits", recipe.about).interval(&column("against the first row"), "", difference);
        }
        figures
            .at("distances", recipe.about)
            .interval(&column("Fréchet distance"), "", scored.estimate("/distances/frechet")?)
            .interval(&column("KID × 1000"), "", scored.estimate("/distances/kid")?.times(1000.0));
        Ok(())
    }

    /// Runs a job for each seed, at the same time where there are two cores.
    fn both(&self, job: impl Fn(u64) -> Job) -> anyhow::Result<()> {
        let jobs = SEEDS.map(job);
        if available_parallelism().is_ok_and(|cores| cores.get() >= 2) {
            let [a, b] = jobs;
            self.work.together(&[a.on_core(0), b.on_core(1)])?;
        } else {
            jobs.into_iter().try_for_each(|job| self.work.run(job).map(drop))?;
        }
        Ok(())
    }

    /// What is trained on.
    fn data(&self) -> anyhow::Result<String> {
        Ok(if self.work.quick { format!("--dataset {}", self.scored()?) } else { String::new() })
    }

    fn scored(&self) -> anyhow::Result<&'static str> {
        self.work.dataset()
    }
}

/// The run that a recipe's model is from.
fn run_of(recipe: &Recipe, seed: u64) -> String {
    format!("runs/{}-{seed}", recipe.trained_as())
}

/// The directory of a recipe's model.
fn model(recipe: &Recipe, seed: u64) -> String {
    match recipe.then {
        Then::Average(_) => format!("runs/{}-{seed}", recipe.name),
        _ => format!("{}/model", run_of(recipe, seed)),
    }
}

/// The name of its scores.
fn scores(recipe: &Recipe, seed: u64) -> String {
    format!("objectives-{}-{seed}", recipe.name)
}
