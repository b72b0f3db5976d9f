//! `peer`: the default preset beside PyTorch and diffusers: the same network, data and time, and the same figures.

use std::thread::available_parallelism;

use anyhow::{Context, ensure};

use super::super::figures::{Figures, Kind};
use super::super::job::{Job, words};
use super::super::printed::number;
use super::super::scores::Scores;
use super::super::work::Work;
use super::rows;
use crate::cargo::root;

/// Seconds of training; a small version has the first number.
const SECONDS: [u64; 2] = [5, 600];
/// Who is trained at the same time, and with which seed. Each of PyTorch's has one of ours beside it.
const PAIRS: [[(Who, u64); 2]; 2] = [[(Who::Same, 0), (Who::Ours, 0)], [(Who::Diffusers, 1), (Who::Ours, 1)]];
/// Test pictures that every model is scored on.
const PICTURES: [u64; 2] = [20, 2000];
/// What PyTorch prints when it has found and compiled its variant, just before its time begins.
const READY: &str = "variant ";

/// Who is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Ours,
    /// PyTorch with our recipe.
    Same,
    /// PyTorch with the recipe of diffusers' example.
    Diffusers,
}

impl Who {
    fn about(self) -> &'static str {
        match self {
            Who::Ours => "here",
            Who::Same => "PyTorch, the same but Adam",
            Who::Diffusers => "PyTorch, the recipe of diffusers' example",
        }
    }

    /// Its recipe in the words of the peer; none is ours.
    fn recipe(self) -> Option<&'static str> {
        match self {
            Who::Ours => None,
            Who::Same => Some("same"),
            Who::Diffusers => Some("diffusers"),
        }
    }

    fn name(self, seed: u64) -> String {
        format!("peer-{}-{seed}", self.recipe().unwrap_or("ours"))
    }

    /// The directory of the trained model.
    fn model(self, seed: u64) -> String {
        let name = self.name(seed);
        if self == Who::Ours { format!("runs/{name}/model") } else { format!("runs/{name}") }
    }
}

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let one_core = work.threads.is_none_or(|threads| threads == 1);
    ensure!(
        !one_core || available_parallelism().is_ok_and(|cores| cores.get() >= 2),
        "two models are trained at the same time, each on a core of its own, and there is only one core; \
         --threads 2 trains one after the other"
    );
    let plan = Plan { work, seconds: work.pick(SECONDS[0], SECONDS[1]), threads: work.threads.unwrap_or(1) };
    plan.prepare()?;
    for [_, (_, seed)] in PAIRS {
        figures.seed(&format!("training {seed}"), seed);
    }
    figures.seed("samples", 0);
    figures.checksum_of(Kind::Given, "training pictures", &work.path("data/peer.npy"))?;
    let mut trained = Vec::new();
    for (at_once, jobs) in plan.jobs(one_core)? {
        trained.extend(at_once.into_iter().zip(work.together(&jobs)?));
    }
    for (who, seed) in ours_first() {
        let text = trained.iter().find(|(of, _)| *of == (who, seed));
        let (_, text) = text.with_context(|| format!("{} was not trained", who.name(seed)))?;
        speed(work, figures, who, seed, text)?;
        score(work, figures, who, seed)?;
    }
    for [(who, seed), _] in PAIRS {
        let (ours, theirs) = (Who::Ours.name(seed), who.name(seed));
        let found = work.compare(&format!("{theirs}-and-ours"), [&ours, &theirs])?;
        let row = format!("{}, seed {seed}", who.about());
        figures.at("difference", &row).interval("theirs − ours", "bits/dim", found.bits("/total/difference")?);
    }
    Ok(())
}

/// All of them, in the order of the tables.
fn ours_first() -> impl Iterator<Item = (Who, u64)> {
    PAIRS.into_iter().map(|[_, ours]| ours).chain(PAIRS.into_iter().map(|[theirs, _]| theirs))
}

struct Plan<'a> {
    work: &'a Work,
    seconds: u64,
    threads: usize,
}

/// Who is trained at the same time, with which seeds, and by which commands.
type Slot = (Vec<(Who, u64)>, Vec<Job>);

impl Plan<'_> {
    /// The pictures, and a model whose network the peer takes over.
    fn prepare(&self) -> anyhow::Result<()> {
        let pictures = self.work.pictures()?;
        pictures.write_first(&self.work.path("data/peer.npy"), self.work.pick(600, pictures.len()))?;
        self.work.train("peer-network", [1, 1], "--sample-every 0 --set held_out.every=0")?;
        Ok(())
    }

    /// What is trained, slot by slot. On one core each, two train at the same time.
    fn jobs(&self, one_core: bool) -> anyhow::Result<Vec<Slot>> {
        if one_core {
            return PAIRS.into_iter().enumerate().map(|(place, pair)| self.pair(place, pair)).collect();
        }
        PAIRS
            .into_iter()
            .flatten()
            .map(|(who, seed)| anyhow::Ok((vec![(who, seed)], vec![self.job(who, seed)?])))
            .collect()
    }

    /// Two that train at the same time. Ours starts when PyTorch has its variant. From pair to pair the cores are swapped.
    fn pair(&self, place: usize, [a, b]: [(Who, u64); 2]) -> anyhow::Result<Slot> {
        let core = place % 2;
        let first = self.job(a.0, a.1)?.on_core(core);
        let second = self.job(b.0, b.1)?.on_core(1 - core).after(&first, READY);
        Ok((vec![a, b], vec![first, second]))
    }

    fn job(&self, who: Who, seed: u64) -> anyhow::Result<Job> {
        let (work, name, out) = (self.work, who.name(seed), format!("runs/{}", who.name(seed)));
        let Some(recipe) = who.recipe() else {
            // As many steps as there is time for: nothing is held out, scored or drawn meanwhile.
            let minutes = self.seconds as f64 / 60.0;
            let tiny = work.tiny();
            let arguments = words(&format!(
                "train --out {out} --preset fashion-mnist-mini --dataset npy:data/peer.npy --held-out 0 --set held_out.every=0 \
                 --sample-every 0 --checkpoint-every 1000000 --steps 1000000 --minutes {minutes:.4} --seed {seed} \
                 --threads {} {tiny}",
                self.threads
            ));
            return Ok(work.sfumato(&name, arguments).making(&out));
        };
        let script = root().join("xtask/peer/equal_time.py").to_string_lossy().into_owned();
        let variant = work.pick("--variant eager", "");
        let mut arguments = vec![script];
        arguments.extend(words(&format!(
            "--pipeline runs/peer-network/model --data data/peer.npy --seconds {} --out {out} --threads {} --recipe {recipe} \
             --seed {seed} {variant}",
            self.seconds, self.threads
        )));
        Ok(work.python(&name, [".venv-peer", "requirements.txt"], arguments)?.making(&out))
    }
}

/// How much was done in the time.
fn speed(work: &Work, figures: &mut Figures, who: Who, seed: u64, text: &str) -> anyhow::Result<()> {
    let [steps, images, seconds] = if who == Who::Ours {
        let lines = Scores::lines(&work.path(&format!("runs/{}/metrics.jsonl", who.name(seed))))?;
        let last = lines.last().context("nothing was trained")?;
        [last.number("/step")?, last.number("/examples")?, last.number("/seconds")?]
    } else {
        for tool in ["python", "torch", "diffusers"] {
            figures.tool(tool, said(text, tool)?);
        }
        let value = |name| said(text, name).and_then(number);
        [value("steps")?, value("images")?, value("seconds")?]
    };
    let row = format!("{}, seed {seed}", who.about());
    let mut place = figures.at("speed", &row);
    place.time("steps", "", steps).time("pictures seen", "", images).time("seconds", "", seconds);
    place.time("pictures a second", "", images / seconds);
    if who != Who::Ours {
        figures.tool(&format!("variant of {}", who.name(seed)), said(text, "variant")?);
    }
    Ok(())
}

/// The value of a line `name value` of the peer's.
fn said<'a>(text: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(str::trim).with_context(|| format!("the peer did not say its {name}"))
}

/// The same figures of every model, with samples of the same sampler from the same noise.
fn score(work: &Work, figures: &mut Figures, who: Who, seed: u64) -> anyhow::Result<()> {
    let (name, model, data) = (who.name(seed), who.model(seed), work.dataset()?);
    let (num, limit) = (rows::samples(work), work.pick(PICTURES[0], PICTURES[1]));
    let drawn = work
        .sample(&name, &format!("--model {model} --num {num} --sampler ddpm --steps 50 --spacing trailing --seed 0"))?;
    let scores = work.eval(
        &name,
        &format!("--model {model} --dataset {data} --variance fixed-small --samples {drawn} --limit {limit}"),
    )?;
    figures.depends_on(&scores, &name);
    let column = format!("{}, seed {seed}", who.about());
    figures.at("figures", "bits/dim").interval(&column, "", scores.bits("/total")?);
    rows::distances(figures, "figures", &column, &scores)?;
    // After the last one, so that the column of the floor is the last.
    if Some((who, seed)) == ours_first().last() {
        rows::floors(figures, "figures", &scores)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_lines_are_read() {
        let text = "python 3.11\nsteps_of 4\nsteps 12\nprogress 60 5 0.1\nseconds 1.5\n";
        assert!(said(text, "variant").is_err());
        assert_eq!((said(text, "steps").unwrap(), said(text, "seconds").unwrap()), ("12", "1.5"));
        assert!(said(text, "images").unwrap_err().to_string().contains("images"));
    }

    #[test]
    fn models_have_folders_of_their_own() {
        let mut all: Vec<String> = ours_first().map(|(who, seed)| who.model(seed)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
        assert!(PAIRS.iter().all(|[theirs, ours]| ours.0 == Who::Ours && theirs.0 != Who::Ours && theirs.1 == ours.1));
    }
}
