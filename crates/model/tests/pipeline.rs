//! Pipeline directories: those of diffusers, our own, and broken ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::backend::{Flex, flex::FlexDevice};
use serde_json::{Map, Value, json};
use sfumato_model::Spacing;
use sfumato_model::params::WeightsMismatch;
use sfumato_model::pipeline::{
    AnyConfig, Facts, Pipeline, PipelineError, PipelineSpec, Scheduler, WEIGHTS_FILE, Warning,
};
use sfumato_nets::{
    mlp::MlpConfig,
    params::{RandomParams, named_parameters},
    unet::{ClassEmbedType, DownBlockType, SampleSize, UNet2DConfig, UpBlockType},
};
use sfumato_process::{ModelVariance, Parameterization};
use sfumato_schedule::{Cosine, Explicit, Linear, ScaledLinear, ScheduleConfig, Sigmoid};
use tempfile::{TempDir, tempdir};

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case)
}

fn small() -> UNet2DConfig {
    UNet2DConfig {
        sample_size: Some(SampleSize::Square(8)),
        block_out_channels: vec![4, 4],
        down_block_types: vec![DownBlockType::DownBlock2D; 2],
        up_block_types: vec![UpBlockType::UpBlock2D; 2],
        layers_per_block: 1,
        norm_num_groups: 2,
        attention_head_dim: None,
        num_class_embeds: Some(3),
        ..Default::default()
    }
}

fn spec() -> PipelineSpec {
    let facts = Facts {
        null_class: Some(2),
        class_names: vec!["ant".into(), "bee".into()],
        provenance: Map::from_iter([("seed".to_owned(), json!(7))]),
    };
    PipelineSpec { config: AnyConfig::UNet(small()), scheduler: Scheduler::default(), facts }
}

/// A valid pipeline directory to damage.
fn written() -> TempDir {
    let dir = tempdir().unwrap();
    let net = small().build::<Flex>(&mut RandomParams::new(1), &FlexDevice).unwrap();
    spec().write(dir.path(), &net).unwrap();
    dir
}

fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(value.as_object_mut().unwrap());
    fs::write(path, value.to_string()).unwrap();
}

fn message(dir: &Path) -> String {
    Pipeline::open(dir).unwrap_err().to_string()
}

#[test]
fn pipelines_of_diffusers_are_understood() {
    let open = |case: &str| {
        let pipeline = Pipeline::open(&golden(case)).unwrap();
        assert_eq!(pipeline.warnings, [], "{case}");
        pipeline.load_unet::<Flex>(&FlexDevice).unwrap();
        let AnyConfig::UNet(config) = pipeline.spec.config else { panic!("{case} is a U-Net") };
        (config, pipeline.spec.scheduler)
    };
    let (config, scheduler) = open("cifar");
    assert_eq!((config.sample_size, config.attention_head_dim), (Some(SampleSize::Square(16)), None));
    assert_eq!((config.freq_shift, config.downsample_padding, config.norm_eps), (1, 0, 1e-6));
    assert_eq!(scheduler.schedule, ScheduleConfig::default());
    assert_eq!((scheduler.variance, scheduler.clip_sample), (ModelVariance::FixedLarge, true));

    let (config, scheduler) = open("defaults");
    let class_defaults = UNet2DConfig::default();
    assert_eq!(config.attention_head_dim, class_defaults.attention_head_dim);
    assert_eq!(scheduler.schedule, Cosine::default().into());
    assert_eq!((scheduler.parameterization, scheduler.clip_sample), (Parameterization::V, false));

    let (config, scheduler) = open("classes");
    assert_eq!((config.num_classes(), config.dropout), (Some(5), 0.1));
    assert_eq!(scheduler.schedule, ScaledLinear { steps: 1000, beta_start: 0.00085, beta_end: 0.012 }.into());
    assert_eq!(scheduler.parameterization, Parameterization::X0);

    let (config, scheduler) = open("resnets");
    assert_eq!(config.class_embed_type, Some(ClassEmbedType::Timestep));
    let first = [DownBlockType::AttnDownBlock2D, DownBlockType::ResnetDownsampleBlock2D, DownBlockType::DownBlock2D];
    assert_eq!(config.down_block_types, first, "old names of block types are understood");
    assert_eq!(scheduler.schedule, Explicit { betas: vec![0.1, 0.2, 0.3, 0.4] }.into());

    let (_, scheduler) = open("fourier");
    assert_eq!(scheduler.schedule, Linear { steps: 50, beta_end: 0.3, ..Linear::default() }.into());
    let (_, scheduler) = open("identity");
    assert_eq!((scheduler.sampling.steps_offset, scheduler.sampling.spacing), (1, Spacing::Trailing));
}

#[test]
fn a_round_trip_keeps_every_byte_of_the_weights_and_every_key() {
    for case in ["cifar", "defaults", "classes", "resnets", "fourier", "identity"] {
        let original = Pipeline::open(&golden(case)).unwrap();
        let dir = tempdir().unwrap();
        original.spec.write(dir.path(), &original.load_unet::<Flex>(&FlexDevice).unwrap()).unwrap();
        let bytes = |dir: &Path| fs::read(dir.join("unet").join(WEIGHTS_FILE)).unwrap();
        assert!(bytes(dir.path()) == bytes(&golden(case)), "{case}");
        assert_eq!(Pipeline::open(dir.path()).unwrap().spec, original.spec, "{case}");

        let json =
            |dir: &Path, path: &str| -> Value { serde_json::from_slice(&fs::read(dir.join(path)).unwrap()).unwrap() };
        for path in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"] {
            let (mut ours, mut theirs) = (json(dir.path(), path), json(&golden(case), path));
            // Written under today's names, with floats as floats, without keys that only training in diffusers reads.
            for value in [&mut ours, &mut theirs] {
                let map = value.as_object_mut().unwrap();
                for key in ["num_train_timesteps", "mid_block_scale_factor", "down_block_types"] {
                    map.shift_remove(key);
                }
            }
            assert_eq!(ours, theirs, "{case}/{path}");
        }
    }
}

#[test]
fn our_pipelines_come_back_as_they_were() {
    let dir = written();
    let pipeline = Pipeline::open(dir.path()).unwrap();
    assert_eq!((&pipeline.spec, &pipeline.warnings[..]), (&spec(), &[][..]));
    assert_eq!(pipeline.dir(), dir.path());
    let net = small().build::<Flex>(&mut RandomParams::new(1), &FlexDevice).unwrap();
    assert_eq!(named_parameters(&pipeline.load_unet::<Flex>(&FlexDevice).unwrap()), named_parameters(&net));
    // From host memory, the same bytes.
    let again = tempdir().unwrap();
    spec().write_tensors(again.path(), &named_parameters(&net)).unwrap();
    for file in [
        "model_index.json",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ] {
        assert!(fs::read(again.path().join(file)).unwrap() == fs::read(dir.path().join(file)).unwrap(), "{file}");
    }
    let shape = pipeline.spec.config.example_shape();
    assert_eq!(shape, Some(vec![3, 8, 8]));
}

#[test]
fn an_mlp_uses_the_same_layout() {
    let dir = tempdir().unwrap();
    let config = MlpConfig { hidden_dim: 8, ..Default::default() };
    let net = config.build::<Flex>(&mut RandomParams::new(1), &FlexDevice).unwrap();
    let spec =
        PipelineSpec { config: AnyConfig::Mlp(config), scheduler: Scheduler::default(), facts: Facts::default() };
    spec.write(dir.path(), &net).unwrap();
    let pipeline = Pipeline::open(dir.path()).unwrap();
    assert_eq!(pipeline.spec, spec);
    assert_eq!(named_parameters(&pipeline.load_mlp::<Flex>(&FlexDevice).unwrap()), named_parameters(&net));
    let error = pipeline.load_unet::<Flex>(&FlexDevice).unwrap_err();
    assert!(matches!(error, PipelineError::OtherModel { expected: "UNet2DModel", found, .. } if found == "SfumatoMLP"));
}

#[test]
fn every_schedule_survives_and_those_of_diffusers_go_by_name() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("scheduler_config.json");
    for (schedule, name) in [
        (ScheduleConfig::default(), Some("linear")),
        (Linear { steps: 100, rescale: true, ..Linear::default() }.into(), None),
        (ScaledLinear::default().into(), Some("scaled_linear")),
        (Cosine { steps: 77, ..Cosine::default() }.into(), Some("squaredcos_cap_v2")),
        (Cosine { offset: 0.01, ..Cosine::default() }.into(), None),
        (Sigmoid::default().into(), Some("sigmoid")),
        (Sigmoid { range: 3.0, ..Sigmoid::default() }.into(), None),
        ("quadratic".parse().unwrap(), None),
        ("notes-cosine:100".parse().unwrap(), None),
    ] {
        let scheduler = Scheduler { schedule, ..Default::default() };
        let json = scheduler.to_json().unwrap();
        assert_eq!(json["trained_betas"].is_null(), name.is_some(), "{name:?}");
        assert_eq!(json["beta_schedule"], name.unwrap_or("linear"));
        // Through text, as a file would take it.
        fs::write(&path, Value::from(json).to_string()).unwrap();
        let read = Scheduler::from_json(&serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()).unwrap();
        assert_eq!(read.schedule.build().unwrap().betas(), scheduler.schedule.build().unwrap().betas());
        assert_eq!(read.schedule == scheduler.schedule, name.is_some());
    }
}

#[test]
fn named_schedules_have_the_betas_of_diffusers() {
    // torch 2.9.1, diffusers 0.35.2: DDPMScheduler(…).betas[[0, 1, 500, 998, 999]], computed there in float32.
    for (name, expected) in BETAS {
        let json = json!({"beta_schedule": name});
        let schedule = Scheduler::from_json(&json).unwrap().schedule.build().unwrap();
        for (index, beta) in [0, 1, 500, 998, 999].into_iter().zip(expected) {
            let ours = schedule.betas()[index];
            assert!((ours / beta - 1.0).abs() < 3e-6, "{name}[{index}]: {ours} {beta}");
        }
    }
}

#[test]
fn a_flat_directory_is_a_model_too() {
    let (source, flat) = (written(), tempdir().unwrap());
    for name in ["config.json", WEIGHTS_FILE] {
        fs::copy(source.path().join("unet").join(name), flat.path().join(name)).unwrap();
    }
    let pipeline = Pipeline::open(flat.path()).unwrap();
    assert_eq!(pipeline.warnings, [Warning::NoScheduler { dir: flat.path().into() }]);
    pipeline.load_unet::<Flex>(&FlexDevice).unwrap();

    let config = source.path().join("scheduler/scheduler_config.json");
    fs::copy(config, flat.path().join("scheduler_config.json")).unwrap();
    assert_eq!(Pipeline::open(flat.path()).unwrap().warnings, []);
}

#[test]
fn unknown_keys_are_warnings_and_private_ones_are_not() {
    let dir = written();
    let path = dir.path().join("unet/config.json");
    edit(&path, |map| {
        map.insert("freeze_everything".into(), json!(true));
        map.insert("_name_or_path".into(), json!("somewhere"));
    });
    let warnings = Pipeline::open(dir.path()).unwrap().warnings;
    assert_eq!(warnings, [Warning::UnknownKey { path, key: "freeze_everything".into() }]);
    assert!(warnings[0].to_string().ends_with("the unknown key `freeze_everything` is ignored"));
}

#[test]
fn missing_parts_are_named() {
    let empty = tempdir().unwrap();
    assert!(message(empty.path()).contains("holds no model"));
    assert!(message(&empty.path().join("absent")).contains("there is no directory"));

    let dir = written();
    fs::rename(dir.path().join("unet").join(WEIGHTS_FILE), dir.path().join("unet/weights.msgpack")).unwrap();
    assert!(message(dir.path()).contains("weights.msgpack is of a format that is not read"));
    fs::remove_file(dir.path().join("unet/config.json")).unwrap();
    assert!(message(dir.path()).contains("config.json"));

    let dir = written();
    let config = dir.path().join("unet/config.json");
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    assert!(message(dir.path()).contains("config.json is no JSON file: it is a directory, not a regular file"));
}

#[test]
fn pipelines_with_more_components_are_refused() {
    for (key, value, expected) in [
        ("vqvae", json!(["diffusers", "VQModel"]), "`vqvae`"),
        ("unet", json!(["diffusers", "UNet2DConditionModel"]), "UNet2DConditionModel"),
        ("unet", json!("UNet2DModel"), "`unet`"),
    ] {
        let dir = written();
        edit(&dir.path().join("model_index.json"), |map| {
            map.insert(key.into(), value);
        });
        let message = message(dir.path());
        assert!(message.contains(expected) && message.contains("model_index.json"), "{message}");
    }
    let dir = written();
    edit(&dir.path().join("model_index.json"), |map| {
        map.insert("vae".into(), json!([null, null]));
        map.insert("requires_safety_checker".into(), json!(false));
    });
    Pipeline::open(dir.path()).unwrap();
}

#[test]
fn repeated_keys_are_refused_at_any_depth() {
    let dir = written();
    let path = dir.path().join("unet/config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('{', "{\"in_channels\": 1,", 1)).unwrap();
    assert!(message(dir.path()).contains("`in_channels` occurs twice"));
    fs::write(&path, text.replace("\"seed\": 7", "\"seed\": 7, \"seed\": 8")).unwrap();
    assert!(message(dir.path()).contains("`seed` occurs twice"));
}

#[test]
fn facts_are_checked() {
    for (facts, expected) in [
        (json!({"null_class": 3}), "below num_class_embeds = 3"),
        (json!({"null_class": "none"}), "integer `null_class`"),
        (json!({"class_names": ["a", 1, "b"]}), "a list of strings"),
        (json!({"class_names": ["a", "b"]}), "2 class_names, expected 3"),
        (json!({"class_names": ["a", "b", "c"], "null_class": 2}), "3 class_names, expected 2"),
        (json!({"class_names": ["a", "b", "a"]}), "the class name `a` twice"),
        (json!({"provenance": 1}), "`provenance` is an object"),
        (json!(1), "`_sfumato` is 1"),
    ] {
        let dir = written();
        edit(&dir.path().join("unet/config.json"), |map| {
            map.insert("_sfumato".into(), facts);
        });
        let message = message(dir.path());
        assert!(message.contains(expected) && message.contains("config.json"), "{message}");
    }
}

#[test]
fn betas_that_make_no_schedule_name_file_step_and_value() {
    let dir = written();
    edit(&dir.path().join("scheduler/scheduler_config.json"), |map| {
        map.insert("trained_betas".into(), json!([0.1, 1.5]));
        map.insert("num_train_timesteps".into(), json!(2));
    });
    let message = message(dir.path());
    assert!(
        message.contains("scheduler_config.json") && message.contains("step 2") && message.contains("1.5"),
        "{message}"
    );
    edit(&dir.path().join("scheduler/scheduler_config.json"), |map| {
        map.insert("trained_betas".into(), Value::Null);
        map.insert("num_train_timesteps".into(), json!(1_000_000_000_000u64));
    });
    assert!(self::message(dir.path()).contains("1000000000000"));
}

#[test]
fn weights_of_another_network_are_a_mismatch() {
    let dir = written();
    edit(&dir.path().join("unet/config.json"), |map| {
        map.insert("block_out_channels".into(), json!([4, 8]));
    });
    let error = Pipeline::open(dir.path()).unwrap().load_unet::<Flex>(&FlexDevice).unwrap_err();
    assert!(matches!(&error, PipelineError::Net(error) if WeightsMismatch::of(error).is_some()));
}

#[test]
fn an_unwritable_place_is_an_error() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let message = spec().write_tensors(&file, &[]).unwrap_err().to_string();
    assert!(message.contains("cannot create") && message.contains("file"), "{message}");
}

const BETAS: [(&str, [f64; 5]); 4] = [
    ("linear", [9.99999975e-05, 0.000119919918, 0.0100599593, 0.0199800804, 0.0199999996]),
    ("scaled_linear", [9.99999975e-05, 0.000102648366, 0.00574207259, 0.0199628118, 0.0200000014]),
    ("squaredcos_cap_v2", [4.12842237e-05, 4.61417512e-05, 0.00315569155, 0.749999404, 0.999000013]),
    ("sigmoid", [0.000149205196, 0.000149798318, 0.0100798784, 0.0199501999, 0.0199507959]),
];
