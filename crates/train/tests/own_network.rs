//! A network and a loss that another program defines, in our loop: kept, resumed to the bit, and told from ours.

use std::{path::Path, sync::atomic::AtomicBool};

use burn::{
    backend::{Autodiff, Flex},
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, activation::silu, backend},
};
use sfumato_data::{LoadOptions, LoadedDataset, load};
use sfumato_kernels::Backend;
use sfumato_model::{
    Blueprint, Model,
    pipeline::{AnyConfig, OwnConfig, Pipeline},
};
use sfumato_nets::{
    NetError, Network,
    layers::DropoutKey,
    params::{ParamSource, load as load_params},
};
use sfumato_process::{Denoiser, Objective, forward::q_sample, objective::ObjectiveError};
use sfumato_schedule::NoiseSchedule;
use sfumato_train::{
    FoundCheckpoint, Outcome, Run, RunDir, Silent, TrainConfig, TrainError,
    config::{ModelConfig, OwnSpec},
};

type Train = Autodiff<Flex>;

/// Two layers that see the point and the time.
#[derive(Module, Debug)]
struct Small<B: backend::Backend> {
    first: Linear<B>,
    last: Linear<B>,
}

impl<B: Backend> Network<B, 2> for Small<B> {
    fn forward_between(
        &self,
        x_t: Tensor<B, 2>,
        t: &[f64],
        _: Option<&[usize]>,
        _: Option<DropoutKey>,
    ) -> Tensor<B, 2> {
        let time: Vec<f32> = t.iter().map(|&t| t as f32 / 1000.0).collect();
        let time = Tensor::<B, 1>::from_floats(&time[..], &x_t.device()).reshape([-1, 1]);
        self.last.forward(silu(self.first.forward(Tensor::cat(vec![x_t, time], 1))))
    }
}

/// How the network is built, and what a model directory says of it.
struct SmallConfig {
    width: usize,
}

impl Blueprint<2> for SmallConfig {
    type Net<B: Backend> = Small<B>;

    fn config(&self) -> AnyConfig {
        AnyConfig::Own(OwnConfig::new("Small", &[2]).with("width", self.width))
    }

    fn build<B: Backend>(&self, source: &mut dyn ParamSource, device: &B::Device) -> Result<Small<B>, NetError> {
        let layer = |from, to| LinearConfig::new(from, to).init(device);
        load_params(Small { first: layer(3, self.width), last: layer(self.width, 2) }, source)
    }
}

/// The mean absolute error of the noise, in place of the mean square.
struct Absolute;

impl<B: backend::Backend, const D: usize> Objective<B, D> for Absolute {
    fn losses(
        &self,
        schedule: &NoiseSchedule,
        denoiser: &dyn Denoiser<B, D>,
        x_0: Tensor<B, D>,
        t: &[usize],
        epsilon: Tensor<B, D>,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        let batch = x_0.dims()[0];
        if batch == 13 {
            return Err(ObjectiveError::Own("no batches of 13".into()));
        }
        let said = denoiser.predict(q_sample(schedule, x_0, t, epsilon.clone()), t);
        Ok((said - epsilon).abs().reshape([batch as i32, -1]).mean_dim(1).reshape([batch]))
    }
}

fn config(steps: u64, batch_size: usize) -> TrainConfig {
    let mut config = TrainConfig::layered(Some("swiss-roll"), None, &[]).unwrap();
    config.model = ModelConfig::Own(OwnSpec { class: "Small".into() });
    (config.training.steps, config.training.batch_size) = (steps, batch_size);
    config.optimizer.decay = sfumato_train::config::LearningRateDecay::Constant;
    (config.samples.num, config.samples.steps) = (4, 3);
    config
}

fn data(config: &TrainConfig) -> LoadedDataset {
    load(&config.data.dataset, &LoadOptions::default()).unwrap()
}

fn train(dir: &RunDir, config: &TrainConfig, from: Option<&FoundCheckpoint>) -> Result<Outcome, TrainError> {
    let (stop, environment) = (AtomicBool::new(false), serde_json::json!({ "program": "a test" }));
    let run = Run {
        config,
        data: &data(config),
        dir,
        from,
        environment: &environment,
        stop: &stop,
        held_out: None,
        ranks: &sfumato_train::ranks::Alone,
    };
    run.train_network::<Train, _, 2>(&SmallConfig { width: 16 }, &Absolute, &Default::default(), &mut Silent)
}

fn create(root: &Path, config: &TrainConfig) -> RunDir {
    RunDir::create(root, config, &serde_json::json!({})).unwrap()
}

fn weights(checkpoint: &Path) -> Vec<u8> {
    std::fs::read(checkpoint.join("training/weights.safetensors")).unwrap()
}

#[test]
fn a_network_of_ones_own_is_trained_kept_and_resumed_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(&create(&folder.path().join("whole"), &config(8, 16)), &config(8, 16), None).unwrap();

    let root = folder.path().join("parts");
    let half = train(&create(&root, &config(4, 16)), &config(4, 16), None).unwrap();
    assert_ne!(weights(&half.checkpoint), weights(&whole.checkpoint));
    let opened = RunDir::open(&root).unwrap();
    let resumed = train(&opened.dir, &config(8, 16), opened.from.as_ref()).unwrap();
    assert_eq!(weights(&resumed.checkpoint), weights(&whole.checkpoint));

    let pipeline = Pipeline::open(&root).unwrap();
    let AnyConfig::Own(own) = &pipeline.spec.config else { panic!("the network is nobody else's") };
    assert_eq!(
        (own.class_name.as_str(), &own.settings["width"], own.num_params),
        ("Small", &16.into(), 4 * 16 + 17 * 2)
    );
    let error = Model::<Flex>::open(&root).unwrap_err().to_string();
    assert!(error.contains("Small") && error.contains("the program that defines it"), "{error}");
    // Its own program builds it from the directory.
    let net = SmallConfig { width: 16 }.build::<Flex>(&mut pipeline.params().unwrap(), &Default::default()).unwrap();
    assert_eq!(net.num_params(), 98);
    let wrong = SmallConfig { width: 8 }.build::<Flex>(&mut pipeline.params().unwrap(), &Default::default());
    assert!(wrong.unwrap_err().to_string().contains("first.weight"));
}

#[test]
fn what_an_objective_says_ends_the_run_and_the_program_cannot_train_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(2, 13);
    let dir = create(&folder.path().join("x"), &config);
    assert!(train(&dir, &config, None).unwrap_err().to_string().contains("no batches of 13"));

    let (stop, environment) = (AtomicBool::new(false), serde_json::json!({}));
    let run = Run {
        config: &config,
        data: &data(&config),
        dir: &dir,
        from: None,
        environment: &environment,
        stop: &stop,
        held_out: None,
        ranks: &sfumato_train::ranks::Alone,
    };
    let error = run.train::<Train>(&Default::default(), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("model.kind") && error.contains("Small"), "{error}");
}
