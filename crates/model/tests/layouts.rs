//! Where the parts of a pipeline may lie, and the directories that people point at instead.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::backend::{Flex, flex::FlexDevice};
use serde_json::{Map, Value, json};
use sfumato_model::pipeline::{
    AnyConfig, Facts, Note, Pipeline, PipelineError, PipelineSpec, Scheduler, WEIGHTS_FILE, Warning,
};
use sfumato_nets::{
    params::RandomParams,
    unet::{DownBlockType, UNet2DConfig, UpBlockType},
};
use sfumato_schedule::{Cosine, ScheduleConfig};
use tempfile::tempdir;

const CONFIG: &str = "config.json";
const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler_config.json";

fn spec() -> PipelineSpec {
    let config = UNet2DConfig {
        block_out_channels: vec![4],
        down_block_types: vec![DownBlockType::DownBlock2D],
        up_block_types: vec![UpBlockType::UpBlock2D],
        layers_per_block: 1,
        norm_num_groups: 2,
        attention_head_dim: None,
        ..Default::default()
    };
    // Not the default, so that it is seen whether the file was found.
    let schedule = ScheduleConfig::from(Cosine { steps: 77, ..Cosine::default() });
    let scheduler = Scheduler { schedule, ..Scheduler::default() };
    PipelineSpec { config: AnyConfig::UNet(config), scheduler, facts: Facts::default() }
}

/// Writes the pipeline into `dir`.
fn write(dir: &Path) -> PathBuf {
    let AnyConfig::UNet(config) = &spec().config else { unreachable!() };
    let net = config.build::<Flex>(&mut RandomParams::new(1), &FlexDevice).unwrap();
    spec().write(dir, &net).unwrap();
    dir.into()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// A copy of the network's folder.
fn copy_unet(model: &Path, to: &Path) {
    for name in [CONFIG, WEIGHTS_FILE] {
        copy(&model.join("unet").join(name), &to.join(name));
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(value.as_object_mut().unwrap());
    fs::write(path, value.to_string()).unwrap();
}

fn open(dir: &Path) -> Pipeline {
    let pipeline = Pipeline::open(dir).unwrap_or_else(|error| panic!("{error}"));
    pipeline.load_unet::<Flex>(&FlexDevice).unwrap_or_else(|error| panic!("{error}"));
    pipeline
}

fn message(dir: &Path) -> String {
    Pipeline::open(dir).unwrap_err().to_string()
}

#[test]
fn each_part_is_found_in_its_folder_or_in_the_root() {
    let source = tempdir().unwrap();
    let model = write(source.path());
    for indexed in [true, false] {
        for network_in_folder in [true, false] {
            for scheduler_in_folder in [true, false] {
                let dir = tempdir().unwrap();
                let root = dir.path();
                if indexed {
                    copy(&model.join(INDEX), &root.join(INDEX));
                }
                copy_unet(&model, &if network_in_folder { root.join("unet") } else { root.into() });
                let place = if scheduler_in_folder { root.join("scheduler") } else { root.into() };
                copy(&model.join("scheduler").join(SCHEDULER), &place.join(SCHEDULER));
                let pipeline = open(root);
                assert_eq!((&pipeline.spec, &pipeline.warnings[..], &pipeline.notes[..]), (&spec(), &[][..], &[][..]));
                assert_eq!(pipeline.dir(), root);
                let (scheduler, file, _) = Scheduler::open(root).unwrap();
                assert_eq!((scheduler, file), (spec().scheduler, place.join(SCHEDULER)));
            }
        }
    }
    // Where both places have one, the folder decides.
    let dir = tempdir().unwrap();
    let both = write(dir.path());
    copy_unet(&model, &both);
    edit(&both.join(CONFIG), |map| {
        map.insert("in_channels".into(), json!(1));
    });
    fs::write(both.join(SCHEDULER), "{}").unwrap();
    assert_eq!(open(&both).spec, spec());
    // Folders that are there for something else.
    let dir = tempdir().unwrap();
    copy_unet(&model, dir.path());
    copy(&model.join("scheduler").join(SCHEDULER), &dir.path().join(SCHEDULER));
    for name in ["unet", "scheduler", "samples"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    assert_eq!(open(dir.path()).spec, spec());
}

/// What `train_unconditional.py` leaves: a pipeline with a checkpoint in it.
fn trained(root: &Path) -> PathBuf {
    let model = write(root);
    let checkpoint = root.join("checkpoint-500");
    copy_unet(&model, &checkpoint.join("unet"));
    copy_unet(&model, &checkpoint.join("unet_ema"));
    edit(&checkpoint.join("unet_ema").join(CONFIG), |map| {
        for (key, value) in [
            ("decay", json!(0.9999)),
            ("inv_gamma", json!(1.0)),
            ("min_decay", json!(0.0)),
            ("optimization_step", json!(500)),
            ("power", json!(0.75)),
            ("update_after_step", json!(0)),
            ("use_ema_warmup", json!(true)),
        ] {
            map.insert(key.into(), value);
        }
    });
    for name in ["optimizer.bin", "scheduler.bin", "random_states_0.pkl"] {
        fs::write(checkpoint.join(name), "").unwrap();
    }
    checkpoint
}

#[test]
fn a_checkpoint_of_a_trainer_has_its_scheduler_above_and_its_average_beside() {
    let dir = tempdir().unwrap();
    let checkpoint = trained(dir.path());
    let above = Note::SchedulerAbove { path: dir.path().join("scheduler").join(SCHEDULER) };
    let (raw, average) = (checkpoint.join("unet"), checkpoint.join("unet_ema"));
    let is_raw = Warning::RawWeights { weights: raw.clone(), average: Some(average.clone()) };
    for (path, warnings) in [(&checkpoint, vec![is_raw.clone()]), (&raw, vec![is_raw]), (&average, vec![])] {
        let pipeline = open(path);
        assert_eq!(pipeline.spec.scheduler, spec().scheduler, "{}", path.display());
        assert_eq!((pipeline.warnings, pipeline.notes), (warnings, vec![above.clone()]), "{}", path.display());
        assert_eq!(Scheduler::open(path).unwrap().0, spec().scheduler);
    }
    // The pipeline itself, and its own folder.
    assert_eq!(open(dir.path()).warnings, []);
    assert_eq!(open(&dir.path().join("unet")).notes, [above]);

    // The scheduler in the root above, none at all, and none that is anything to do with it.
    fs::rename(dir.path().join("scheduler").join(SCHEDULER), dir.path().join(SCHEDULER)).unwrap();
    assert_eq!(open(&raw).spec.scheduler, spec().scheduler);
    fs::remove_file(dir.path().join(SCHEDULER)).unwrap();
    assert!(open(&raw).warnings.contains(&Warning::NoScheduler { dir: raw.clone() }));
    let other = tempdir().unwrap();
    copy_unet(dir.path(), &other.path().join("mine"));
    fs::write(other.path().join(SCHEDULER), r#"{"beta_schedule": "squaredcos_cap_v2"}"#).unwrap();
    let mine = other.path().join("mine");
    assert_eq!(open(&mine).warnings, [Warning::NoScheduler { dir: mine }]);

    // The average alone.
    fs::remove_dir_all(&raw).unwrap();
    assert!(open(&checkpoint).weights().starts_with(&average));
}

#[test]
fn a_directory_of_checkpoints_names_them() {
    let dir = tempdir().unwrap();
    let source = tempdir().unwrap();
    let model = write(source.path());
    for step in [500, 1000, 1500] {
        copy_unet(&model, &dir.path().join(format!("checkpoint-{step}")).join("unet"));
    }
    let said = message(dir.path());
    assert!(said.contains("checkpoint-500, checkpoint-1000, checkpoint-1500"), "{said}");
    assert!(said.contains("such as") && said.ends_with("checkpoint-1500"), "{said}");
}

#[test]
fn a_run_is_its_newest_model_and_says_so() {
    let dir = tempdir().unwrap();
    let run = dir.path().join("run");
    let checkpoint = |step: u64| run.join("checkpoints").join(format!("step-{step:07}"));
    let complete = |path: &Path, step: u64| {
        write(path);
        fs::create_dir_all(path.join("training")).unwrap();
        let state = json!({"step": step, "examples": 0, "seconds": 0.0});
        fs::write(path.join("training/state.json"), state.to_string()).unwrap();
    };
    complete(&checkpoint(2), 2);
    complete(&checkpoint(10), 10);
    // Begun and not finished.
    fs::create_dir_all(checkpoint(12).join("unet")).unwrap();
    copy(&checkpoint(10).join("unet").join(CONFIG), &checkpoint(12).join("unet").join(CONFIG));
    fs::write(run.join("config.toml"), "").unwrap();
    for path in [run.clone(), run.join("checkpoints")] {
        let pipeline = open(&path);
        assert_eq!(pipeline.dir(), checkpoint(10));
        assert_eq!(pipeline.notes, [Note::Within { asked: path, kind: "a run", opened: checkpoint(10) }]);
    }
    assert_eq!(Scheduler::open(&run).unwrap().0, spec().scheduler);
    // A copied folder `model` may be older than the checkpoints, or newer.
    complete(&run.join("model"), 2);
    assert_eq!(open(&run).dir(), checkpoint(10));
    complete(&run.join("model"), 10);
    assert_eq!(open(&run).dir(), run.join("model"));
    assert!(message(dir.path()).contains("the models in it are run: choose one"), "{}", message(dir.path()));

    let begun = dir.path().join("begun");
    fs::create_dir_all(begun.join("checkpoints")).unwrap();
    fs::write(begun.join("config.toml"), "").unwrap();
    assert!(message(&begun).contains("stopped before its first checkpoint"));
    // What cannot be looked into may hold any.
    fs::remove_dir(begun.join("checkpoints")).unwrap();
    fs::write(begun.join("checkpoints"), "").unwrap();
    assert!(message(&begun).contains("checkpoints cannot be opened"), "{}", message(&begun));
}

#[test]
fn the_cache_of_the_hub_is_understood() {
    let dir = tempdir().unwrap();
    let (old, new) = (dir.path().join("snapshots/0123"), dir.path().join("snapshots/4567"));
    write(&new);
    assert_eq!(open(dir.path()).dir(), new);
    write(&old);
    assert!(message(dir.path()).contains("holds no model"));
    fs::create_dir(dir.path().join("refs")).unwrap();
    fs::write(dir.path().join("refs/main"), "0123").unwrap();
    assert_eq!(open(dir.path()).dir(), old);
}

#[test]
fn paths_that_are_no_model_say_what_may_be_meant() {
    let dir = tempdir().unwrap();
    let model = write(&dir.path().join("model"));
    for file in ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        let said = message(&model.join(file));
        assert!(said.contains("is a file") && said.ends_with(&model.display().to_string()), "{said}");
    }
    let absent = dir.path().join("absent");
    assert!(message(&absent).contains(&format!("no directory {}", absent.display())));
    let hub = Path::new("google/ddpm-cifar10-32");
    assert!(matches!(Pipeline::open(hub), Err(PipelineError::NoDirectory { .. })));
    assert!(message(hub).contains("hf download google/ddpm-cifar10-32"), "{}", message(hub));
    let empty = tempdir().unwrap();
    assert!(message(empty.path()).contains("the directory is empty"));
    fs::write(empty.path().join("ema_0.9999_500000.pt"), "").unwrap();
    let said = message(empty.path());
    assert!(said.contains("ema_0.9999_500000.pt") && said.contains("sfumato import"), "{said}");
    fs::remove_file(model.join("unet").join(CONFIG)).unwrap();
    assert!(message(&model).contains("unet/config.json"));
    let only = tempdir().unwrap();
    fs::write(only.path().join(SCHEDULER), "{}").unwrap();
    assert!(message(only.path()).contains("a scheduler only"));
    assert_eq!(Scheduler::open(only.path()).unwrap().0, Scheduler::default());
}

#[test]
fn the_index_names_a_class_that_the_scheduler_leaves_out() {
    let dir = tempdir().unwrap();
    let model = write(dir.path());
    let path = model.join("scheduler").join(SCHEDULER);
    let index = model.join(INDEX);
    edit(&index, |map| {
        map.insert("scheduler".into(), json!(["diffusers", "DDIMScheduler"]));
    });
    edit(&path, |map| {
        map.shift_remove("_class_name");
    });
    let pipeline = open(&model);
    assert_eq!((&*pipeline.spec.scheduler.class_name, &pipeline.warnings[..]), ("DDIMScheduler", &[][..]));
    // Where they disagree, it is said.
    edit(&path, |map| {
        map.insert("_class_name".into(), json!("DDPMScheduler"));
    });
    let (indexed, used) = ("DDIMScheduler".to_owned(), "DDPMScheduler".to_owned());
    assert_eq!(open(&model).warnings, [Warning::SchedulerClass { index: index.clone(), indexed, used }]);
    edit(&index, |map| {
        map.insert("scheduler".into(), json!(["diffusers", "FlaxDDPMScheduler"]));
    });
    assert_eq!(open(&model).warnings, []);
}

#[test]
fn models_of_other_kinds_are_refused_by_name() {
    for (index, expected) in [
        (
            json!({"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}),
            "text-to-image",
        ),
        (json!({"unet": ["diffusers", "UNet2DConditionModel"]}), "text-to-image"),
        (json!({"vqvae": ["diffusers", "VQModel"]}), "`vqvae`"),
    ] {
        let dir = tempdir().unwrap();
        let model = write(dir.path());
        fs::write(model.join(INDEX), index.to_string()).unwrap();
        assert!(message(&model).contains(expected), "{}", message(&model));
    }
    for (change, expected) in [
        (json!({"_class_name": "UNet2DConditionModel"}), "text-to-image"),
        (json!({"cross_attention_dim": 768}), "`cross_attention_dim` = 768 is not supported"),
        (json!({"cross_attention_dim": null, "addition_embed_type": "text_time"}), "`addition_embed_type`"),
        (json!({"_class_name": "DDPMScheduler"}), "configuration of a scheduler"),
        (json!({"_class_name": "AutoencoderKL"}), "AutoencoderKL"),
    ] {
        let dir = tempdir().unwrap();
        let model = write(dir.path());
        edit(&model.join("unet").join(CONFIG), |map| map.extend(change.as_object().cloned().unwrap()));
        let said = message(&model);
        assert!(said.contains(expected) && said.contains("config.json"), "{said}");
    }
    let dir = tempdir().unwrap();
    fs::write(dir.path().join(CONFIG), r#"{"model_type": "vit", "architectures": ["ViTModel"]}"#).unwrap();
    assert!(message(dir.path()).contains("another library's model"), "{}", message(dir.path()));
}

#[test]
fn json_is_read_as_python_reads_it_and_faults_are_explained() {
    let dir = tempdir().unwrap();
    let model = write(dir.path());
    let path = model.join("scheduler").join(SCHEDULER);
    let text = fs::read_to_string(&path).unwrap();
    // A byte order mark, and numbers that JSON does not have, where nobody reads them.
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert_eq!(open(&model).spec, spec());
    fs::write(&path, text.replacen('{', "{\"_note\": NaN, \"_other\": -Infinity,", 1)).unwrap();
    assert_eq!(open(&model).spec, spec());
    for (text, expected) in [
        (text.replacen('{', "{ // betas\n", 1), "JSON has no comments"),
        (text.replacen('{', "{ /* betas */", 1), "JSON has no comments"),
        (text.replacen('{', "{\n# betas\n", 1), "JSON has no comments"),
        (r#"{"beta_end": 0.02,}"#.into(), "trailing comma"),
        (r#"{"clip_sample": True}"#.into(), "JSON writes true, false and null"),
        (r#"{'clip_sample': true}"#.into(), "double quotes"),
        (text[..text.len() / 2].into(), "truncated"),
        (r#"{"beta_start": NaN}"#.into(), "`beta_start` is \"NaN\", expected a number"),
        (r#"{"beta_end": Infinity}"#.into(), "`beta_end` is \"Infinity\""),
        (r#"{"beta_end": 1e400}"#.into(), "scheduler_config.json"),
        (r#"{"trained_betas": [0.1, NaN]}"#.into(), "`trained_betas` is [0.1,\"NaN\"]"),
        (r#"{"beta_start": -0.1}"#.into(), "beta at step 1 is -0.1"),
        (r#"{"num_train_timesteps": 0}"#.into(), "`num_train_timesteps` is 0"),
        ("[]".into(), "expected an object"),
        ("7".into(), "expected an object"),
        (r#"{"down_block_types": ["DownBlock2D"], "sample_size": 8}"#.into(), "`_class_name` is not there"),
    ] {
        fs::write(&path, &text).unwrap();
        let said = message(&model);
        assert!(said.contains(expected) && said.contains(SCHEDULER), "{text}: {said}");
    }
    let wide: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(&path, wide).unwrap();
    assert!(message(&model).contains("UTF-16"));
}

#[test]
fn a_null_class_has_to_be_the_last_of_several() {
    for (classes, label, expected) in [
        (json!(1), 0, "leaves no class beside it"),
        (json!(null), 0, "leaves no class beside it"),
        (json!(3), 3, "below num_class_embeds = 3"),
        (json!(3), 0, "a `null_class` of 2, the last"),
    ] {
        let dir = tempdir().unwrap();
        let model = write(dir.path());
        edit(&model.join("unet").join(CONFIG), |map| {
            map.insert("num_class_embeds".into(), classes);
            map.insert("_sfumato".into(), json!({"null_class": label}));
        });
        let said = message(&model);
        assert!(said.contains(expected) && said.contains("unet/config.json"), "{said}");
    }
}
