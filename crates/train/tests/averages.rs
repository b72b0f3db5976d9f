//! Averages that are made after a run: those that the run would have kept, and the same bits after an interruption.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use burn::backend::{Autodiff, Flex};
use sfumato_data::{LoadOptions, load};
use sfumato_model::tensor_file::{NamedTensor, read_tensors, write_tensors};
use sfumato_train::{Average, AverageError, Metrics, Run, RunDir, TrainConfig, TrainState, Watch};

fn config(steps: u64, widths: &[f64]) -> TrainConfig {
    let set = |key: &str, value: toml::Value| (key.split('.').map(str::to_owned).collect::<Vec<_>>(), value);
    let widths = widths.iter().map(|&width| toml::Value::from(width)).collect::<Vec<_>>();
    let all = [
        set("training.steps", (steps as i64).into()),
        set("training.checkpoint_every", 50.into()),
        set("training.batch_size", 32.into()),
        set("model.hidden", 16.into()),
        set("model.layers", 2.into()),
        set("samples.num", 4.into()),
        set("samples.steps", 2.into()),
        set("samples.every", 0.into()),
        set("held_out.every", 0.into()),
        set("averages.widths", widths.into()),
    ];
    TrainConfig::layered(Some("swiss-roll"), None, &all).unwrap()
}

/// Asks a run to stop after a step.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Watch for StopAfter<'_> {
    fn begin(&mut self, _: &TrainState, _: usize) {}
    fn step(&mut self, state: &TrainState, _: f64) {
        if state.step == self.0 {
            self.1.store(true, Ordering::SeqCst);
        }
    }
    fn metrics(&mut self, _: &Metrics) {}
    fn checkpoint(&mut self, _: &Path) {}
    fn sampling(&mut self, _: usize, _: usize) {}
    fn samples(&mut self, _: &Path) {}
}

/// Starts a run or goes on with it, until it ends or `stop_after` is done.
fn go(root: &Path, config: &TrainConfig, stop_after: u64) -> PathBuf {
    let (stop, environment) = (AtomicBool::new(false), serde_json::json!({}));
    let data = load(&config.data.dataset, &LoadOptions::default()).unwrap();
    let opened = root.exists().then(|| RunDir::open(root).unwrap());
    let dir = match &opened {
        Some(opened) => opened.dir.clone(),
        None => RunDir::create(root, config, &environment).unwrap(),
    };
    let from = opened.as_ref().and_then(|opened| opened.from.as_ref());
    let run = Run {
        config,
        data: &data,
        dir: &dir,
        from,
        environment: &environment,
        stop: &stop,
        held_out: None,
        ranks: &sfumato_train::ranks::Alone,
    };
    run.train::<Autodiff<Flex>>(&Default::default(), &mut StopAfter(stop_after, &stop)).unwrap().checkpoint
}

fn average(root: &Path, width: f64) -> Result<Average, AverageError> {
    Average::new(&root.join("model"), &root.join("averages"), width)
}

/// Norm of the difference of two sets of weights.
fn distance(a: &[NamedTensor], b: &[NamedTensor]) -> f64 {
    assert!(a.iter().map(|tensor| &tensor.name).eq(b.iter().map(|tensor| &tensor.name)));
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.values.iter().zip(&b.values));
    pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn an_average_made_afterwards_is_the_one_that_would_have_been_kept() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = [0.05, 0.06, 0.075, 0.1, 0.14, 0.2];
    let [two, all] = ["two", "all"].map(|name| folder.path().join(name));
    go(&two, &config(640, &[0.05, 0.1]), u64::MAX);
    go(&all, &config(640, &wanted), u64::MAX);
    let kept: Vec<Average> = wanted.iter().map(|&width| average(&all, width).unwrap()).collect();
    let mut worst = 0.0_f64;
    for (i, kept_itself) in kept.iter().enumerate() {
        assert_eq!((kept_itself.kept, kept_itself.error, kept_itself.step), (1, 0.0, 640));
        let made = average(&two, wanted[i]).unwrap();
        assert_eq!(made.kept, if [0.05, 0.1].contains(&wanted[i]) { 1 } else { 32 });
        let neighbour = &kept[if i == 0 { 1 } else { i - 1 }];
        let off = distance(&made.weights, &kept_itself.weights) / distance(&neighbour.weights, &kept_itself.weights);
        println!("width {}: {off:.5} of the distance to its neighbour, error {:.5}", wanted[i], made.error);
        worst = worst.max(off);
    }
    assert!(worst < 0.01, "{worst} of the distance to the neighbour");
    // The model's own weights are another average still, and the raw ones another.
    let own = read_tensors(&two.join("model/unet/diffusion_pytorch_model.safetensors")).unwrap();
    assert!(distance(&own, &kept[0].weights) > 0.0);
}

/// The contents of the files in a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_run_that_is_stopped_keeps_the_same_averages() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config(130, &[0.05, 0.1]);
    settings.averages.every = Some(20);
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    go(&whole, &settings, u64::MAX);
    assert_eq!(files(&whole.join("averages")).len(), 6);
    // At a file of averages, at a checkpoint, and at neither.
    for stop in [20, 50, 87] {
        go(&parts, &settings, stop);
    }
    let newest = fs::read_dir(parts.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    assert!(newest.ends_with("step-0000087"));
    // As if killed after the files of steps 80 and 100: the run goes on from step 50.
    fs::remove_dir_all(newest).unwrap();
    fs::write(parts.join("averages/step-0000100.safetensors"), "of another life").unwrap();
    go(&parts, &settings, 61);
    assert_eq!(files(&parts.join("averages")).len(), 3);
    go(&parts, &settings, u64::MAX);
    assert!(files(&whole.join("averages")) == files(&parts.join("averages")));
    let of = |root: &Path| fs::read(root.join("model/training/averages.safetensors")).unwrap();
    assert!(of(&whole) == of(&parts));
}

#[test]
fn what_cannot_be_averaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [with, without] = ["with", "without"].map(|name| folder.path().join(name));
    go(&with, &config(20, &[0.1]), u64::MAX);
    go(&without, &config(20, &[]), u64::MAX);
    assert!(!without.join("averages").exists());
    for width in [0.0, -0.1, 0.29, f64::NAN, f64::INFINITY] {
        assert!(matches!(average(&with, width), Err(AverageError::Width(_))), "{width}");
    }
    let error = average(&without, 0.1).unwrap_err().to_string();
    assert!(error.contains("averages.widths") && error.contains("without/model"), "{error}");
    // A tensor under another name leaves a gap in the sum.
    let file = with.join("averages/step-0000008.safetensors");
    let mut tensors = read_tensors(&file).unwrap();
    tensors[0].name += "-other";
    write_tensors(&file, &[], &tensors).unwrap();
    let error = average(&with, 0.2).unwrap_err().to_string();
    assert!(error.contains("step-0000008.safetensors") && error.contains("expected"), "{error}");
    let file = with.join("averages/step-0000004.safetensors");
    fs::write(&file, &fs::read(&file).unwrap()[..500]).unwrap();
    let error = average(&with, 0.2).unwrap_err().to_string();
    assert!(error.contains("step-0000004.safetensors"), "{error}");
}
