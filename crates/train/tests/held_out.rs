//! Scores while training: the same as an evaluation's, unmoved by interruptions, and what the best checkpoint is chosen by.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use burn::backend::{Autodiff, Flex};
use sfumato_data::{Dataset, LoadOptions, LoadedDataset, Selection, Split, load};
use sfumato_train::{
    Ending, Metrics, Outcome, Run, RunDir, Silent, TrainConfig, TrainState, Watch, config::LearningRateDecay,
};

type Train = Autodiff<Flex>;

/// No step of a run.
const NEVER: u64 = u64::MAX;

fn config(steps: u64, overrides: &[(&str, toml::Value)]) -> TrainConfig {
    let set = |key: &str, value: toml::Value| (key.split('.').map(str::to_owned).collect::<Vec<_>>(), value);
    let mut all = vec![
        set("training.steps", (steps as i64).into()),
        set("model.hidden", 24.into()),
        set("model.layers", 2.into()),
        set("samples.num", 4.into()),
        set("samples.steps", 2.into()),
        set("samples.every", 0.into()),
    ];
    all.extend(overrides.iter().map(|(key, value)| set(key, value.clone())));
    let mut config = TrainConfig::layered(Some("swiss-roll"), None, &all).unwrap();
    config.optimizer.decay = LearningRateDecay::Constant;
    config
}

fn roll(split: Split) -> LoadedDataset {
    load(&"toy:swiss-roll".parse().unwrap(), &LoadOptions { split, ..LoadOptions::default() }).unwrap()
}

/// Asks a run to stop at a moment.
struct StopAt<'a> {
    stop: &'a AtomicBool,
    /// While the model of this step is scored.
    scoring: u64,
    step: u64,
}

impl Watch for StopAt<'_> {
    fn begin(&mut self, _: &TrainState, _: usize) {}
    fn step(&mut self, state: &TrainState, _: f64) {
        self.step = state.step;
    }
    fn scoring(&mut self, _: usize, _: usize) {
        if self.step == self.scoring {
            self.stop.store(true, Ordering::SeqCst);
        }
    }
    fn metrics(&mut self, _: &Metrics) {}
    fn checkpoint(&mut self, _: &Path) {}
    fn sampling(&mut self, _: usize, _: usize) {}
    fn samples(&mut self, _: &Path) {}
}

fn go(root: &Path, config: &TrainConfig, [data, held_out]: [&dyn Dataset; 2], stop_at: u64) -> Outcome {
    let (stop, environment) = (AtomicBool::new(false), serde_json::json!({}));
    let opened = root.exists().then(|| RunDir::open(root).unwrap());
    let dir = match &opened {
        Some(opened) => opened.dir.clone(),
        None => RunDir::create(root, config, &environment).unwrap(),
    };
    let from = opened.as_ref().and_then(|opened| opened.from.as_ref());
    let run = Run {
        config,
        data,
        dir: &dir,
        from,
        environment: &environment,
        stop: &stop,
        held_out: Some(held_out),
        ranks: &sfumato_train::ranks::Alone,
    };
    run.train::<Train>(&Default::default(), &mut StopAt { stop: &stop, scoring: stop_at, step: 0 }).unwrap()
}

/// The lines without what a clock says.
fn lines(root: &Path) -> Vec<Metrics> {
    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut metrics: Metrics = serde_json::from_str(line).unwrap();
        (metrics.images_per_second, metrics.seconds) = (0.0, 0.0);
        metrics
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_that_is_stopped_while_it_scores_has_the_same_scores_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let settings = config(
        30,
        &[
            ("held_out.every", 7.into()),
            ("held_out.examples", 5.into()),
            ("training.log_every", 4.into()),
            ("training.checkpoint_every", 9.into()),
            ("training.keep_checkpoints", 0.into()),
        ],
    );
    let (data, test) = (roll(Split::Train), roll(Split::Test));
    let whole = folder.path().join("whole");
    go(&whole, &settings, [&data, &test], NEVER);
    let steps: Vec<u64> = lines(&whole).iter().map(|line| line.step).collect();
    assert_eq!(steps, [4, 7, 8, 12, 14, 16, 20, 21, 24, 28, 30]);
    let scored: Vec<u64> = lines(&whole).iter().filter(|line| line.held_out.is_some()).map(|line| line.step).collect();
    assert_eq!(scored, [7, 14, 21, 28, 30]);

    // In the middle of a score, twice; the second is one that shares its step with a line.
    let parts = folder.path().join("parts");
    for stop_at in [14, 28] {
        assert_eq!(go(&parts, &settings, [&data, &test], stop_at).ending, Ending::Stopped);
        assert!(lines(&parts).iter().all(|line| line.step < stop_at));
    }
    assert_eq!(go(&parts, &settings, [&data, &test], NEVER).ending, Ending::Complete);
    assert_eq!(lines(&parts), lines(&whole));
    let weights = |root: &Path| fs::read(root.join("checkpoints/step-0000030/training/weights.safetensors")).unwrap();
    assert!(weights(&parts) == weights(&whole), "a score moves no weight");
    let best = |root: &Path| fs::read_link(root.join("best")).unwrap();
    assert_eq!(best(&parts), best(&whole));

    // Nor has a run without scores other weights.
    let plain = config(30, &[("held_out.every", 0.into()), ("training.keep_checkpoints", 0.into())]);
    let without = folder.path().join("without");
    go(&without, &plain, [&data, &test], NEVER);
    assert!(weights(&without) == weights(&whole) && !without.join("best").exists());
}

#[test]
fn an_overfitted_run_keeps_the_checkpoint_that_was_best() {
    let folder = tempfile::tempdir().unwrap();
    let settings = config(
        2400,
        &[
            ("model.hidden", 128.into()),
            ("held_out.every", 100.into()),
            ("held_out.examples", 40.into()),
            ("training.batch_size", 16.into()),
            ("training.keep_checkpoints", 1.into()),
            ("training.checkpoint_every", 1000.into()),
            ("optimizer.learning_rate", 3e-3.into()),
            ("optimizer.ema_decay", 0.95.into()),
        ],
    );
    // Twelve points are soon known by heart.
    let roll = roll(Split::Train);
    let few = Selection::new(&roll, (0..12).collect());
    let others = Selection::new(&roll, (100..200).collect());
    let root = folder.path().join("run");
    let outcome = go(&root, &settings, [&few, &others], NEVER);
    let scores: Vec<(u64, f64, f64)> = lines(&root)
        .iter()
        .filter_map(|line| {
            let bits = |score: &Option<sfumato_train::Score>| Some(score.as_ref()?.bits_per_dim);
            Some((line.step, bits(&line.held_out)?, bits(&line.training_examples)?))
        })
        .collect();
    let best = scores.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let last = scores.last().unwrap();
    assert!(best.0 < 1500 && last.1 > best.1 + 0.3 && last.2 < best.2, "{scores:?}");
    // One checkpoint is kept, and besides it the best.
    let found = RunDir::open(&root).unwrap().dir;
    let steps: Vec<u64> = found.find_checkpoints().unwrap().complete.iter().map(|found| found.step).collect();
    assert_eq!(steps, [best.0, 2400]);
    assert_eq!(outcome.best.map(|found| found.step), Some(best.0));
    assert_eq!(fs::read_link(found.best()).unwrap(), Path::new(&format!("checkpoints/step-{:07}", best.0)));
    assert_eq!(fs::read_link(found.model()).unwrap(), Path::new("checkpoints/step-0002400"));
    // To go on from the best is to go on from its step.
    drop(found);
    let opened = RunDir::open(&root.join("best")).unwrap();
    assert_eq!(opened.from.map(|found| found.step), Some(best.0));
}

#[test]
fn scores_need_no_settled_configuration() {
    let folder = tempfile::tempdir().unwrap();
    // Of two examples there is a score every 50 steps, and at the end of a run of at least 13.
    let mut settings = config(13, &[]);
    settings.held_out = sfumato_train::config::HeldOutConfig { examples: Some(2), ..settings.held_out };
    let (data, test) = (roll(Split::Train), roll(Split::Test));
    let (stop, environment) = (AtomicBool::new(false), serde_json::json!({}));
    let dir = RunDir::create(&folder.path().join("run"), &settings, &environment).unwrap();
    let run = Run {
        config: &settings,
        data: &data,
        dir: &dir,
        from: None,
        environment: &environment,
        stop: &stop,
        held_out: Some(&test),
        ranks: &sfumato_train::ranks::Alone,
    };
    let outcome = run.train::<Train>(&Default::default(), &mut Silent).unwrap();
    assert!(outcome.last_metrics.unwrap().held_out.is_some(), "the last step has a score");
}
