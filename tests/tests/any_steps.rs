//! Every sampler takes every number of steps that a schedule has, from `scheduler_config.json` to the last state.

use std::{cell::Cell, ops::ControlFlow};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use serde_json::json;
use sfumato_model::pipeline::Scheduler;
use sfumato_model::sampling::SamplerChoice;
use sfumato_model::sampling::SamplerKind;
use sfumato_process::{
    Denoiser, RecordedNoise, SeededNoise,
    sampler::{SampleError, State, Stepper, walk},
};

const DEVICE: FlexDevice = FlexDevice;

/// A smooth guess, bounded whatever it is shown, that counts how often it was asked.
struct Bounded {
    total: usize,
    asked: Cell<usize>,
}

impl Bounded {
    fn new(total: usize) -> Self {
        Self { total, asked: Cell::new(0) }
    }
}

impl Denoiser<Flex, 2> for Bounded {
    fn predict(&self, x_t: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
        self.asked.set(self.asked.get() + 1);
        (x_t * 0.7 + 0.1).tanh()
    }

    fn predict_between(&self, x_t: Tensor<Flex, 2>, t: &[f64]) -> Tensor<Flex, 2> {
        assert!(t.iter().all(|t| (1.0..=self.total as f64).contains(t)), "{t:?}");
        self.predict(x_t, &[])
    }
}

/// What a sampler did.
struct Drawn {
    x: Vec<f64>,
    steps: usize,
    evaluations: usize,
}

fn draw(sampler: &mut dyn Stepper<Flex, 2>, total: usize) -> Drawn {
    let mut steps = 0;
    let mut count = |state: State<'_, Flex, 2>| {
        steps += 1;
        assert_eq!(state.done, steps);
        ControlFlow::Continue(())
    };
    let net = Bounded::new(total);
    let x: Result<_, SampleError> = walk(sampler, &net, &SeededNoise::new(1), [1, 2], &DEVICE, &mut count);
    Drawn { x: x.unwrap().into_data().iter::<f64>().collect(), steps, evaluations: net.asked.get() }
}

fn run(scheduler: &Scheduler, choice: &SamplerChoice) -> Drawn {
    let sampler = choice.resolve(scheduler).unwrap_or_else(|error| panic!("{scheduler:?} {choice:?}: {error}"));
    draw(&mut sampler.stepper(), sampler.chain().trained_schedule().steps())
}

const CLASSES: [&str; 7] = [
    "DDPMScheduler",
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "UniPCMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
];

/// Draws with so many steps, or the usual number, and checks how many there were and that the samples are finite.
fn assert_takes(scheduler: &Scheduler, steps: Option<usize>, expected: usize) {
    let kind = scheduler.sampler().unwrap();
    let etas: &[f64] = if kind == SamplerKind::Ddim { &[0.0, 0.5, 1.0] } else { &[0.0] };
    for &eta in etas {
        let Drawn { x, steps: taken, evaluations } =
            run(scheduler, &SamplerChoice { steps, eta, ..SamplerChoice::new(kind) });
        let named = || format!("{kind} eta {eta}, {steps:?} of {scheduler:?}: {x:?}");
        assert_eq!(taken, expected, "{}", named());
        assert_eq!(evaluations, if kind == SamplerKind::Heun { 2 * taken - 1 } else { taken }, "{}", named());
        assert!(x.iter().all(|x| x.is_finite()), "{}", named());
    }
}

#[test]
fn every_sampler_takes_any_number_of_steps() {
    for class in CLASSES {
        for total in [1, 2, 3, 10, 37, 50] {
            for (spacing, special) in [("leading", true), ("linspace", true), ("trailing", true), ("linspace", false)] {
                for prediction in ["v_prediction", "sample", "epsilon"] {
                    // At zero signal the noise says nothing about the data.
                    let zero = special && prediction != "epsilon";
                    let scheduler = Scheduler::from_json(&json!({
                        "_class_name": class, "num_train_timesteps": total, "beta_end": 0.4, "timestep_spacing": spacing,
                        "prediction_type": prediction, "use_karras_sigmas": special && class != "DDPMScheduler",
                        "rescale_betas_zero_snr": zero, "solver_order": 3, "clip_sample": false,
                    }))
                    .unwrap();
                    let kind = scheduler.sampler().unwrap();
                    assert_takes(&scheduler, None, total.min(kind.info().usual_steps));
                    for steps in (1..=total).filter(|steps| total < 50 || steps % 7 == 1 || *steps > 47) {
                        assert_takes(&scheduler, Some(steps), steps);
                    }
                    for none in [0, total + 1] {
                        let none = SamplerChoice { steps: Some(none), ..SamplerChoice::new(kind) };
                        assert!(none.resolve(&scheduler).is_err());
                    }
                }
            }
        }
    }
}

#[test]
fn every_sampler_takes_the_numbers_of_steps_that_people_publish() {
    for class in CLASSES {
        for spacing in ["leading", "linspace", "trailing"] {
            let scheduler =
                Scheduler::from_json(&json!({ "_class_name": class, "timestep_spacing": spacing })).unwrap();
            for steps in [1, 2, 3, 13, 53, 999, 1000] {
                assert_takes(&scheduler, Some(steps), steps);
            }
        }
    }
    let trailing = Scheduler::from_json(&json!({ "timestep_spacing": "trailing" })).unwrap();
    let choice = SamplerChoice { steps: Some(13), ..SamplerChoice::new(SamplerKind::Ddim) };
    let sampler = choice.resolve(&trailing).unwrap();
    let steps = [1000, 923, 846, 769, 692, 615, 538, 462, 385, 308, 231, 154, 77];
    let expected: Vec<_> = steps.iter().copied().zip(steps[1..].iter().copied().chain([0])).collect();
    assert_eq!(sampler.leaps().unwrap().pairs(), expected);
}

/// The usual number of steps is a wish: a setting that leaves a few less is no error.
#[test]
fn the_usual_number_of_steps_never_exceeds_what_there_is() {
    for (class, settings, expected) in [
        ("DDPMScheduler", json!({ "num_train_timesteps": 50, "beta_end": 0.4, "steps_offset": 1 }), 49),
        ("DDIMScheduler", json!({ "num_train_timesteps": 50, "beta_end": 0.4, "steps_offset": 1 }), 49),
        ("DPMSolverMultistepScheduler", json!({ "num_train_timesteps": 22, "lambda_min_clipped": 0.0 }), 20),
        ("DPMSolverMultistepScheduler", json!({ "beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": 3.6 }), 11),
    ] {
        let mut json = settings;
        json["_class_name"] = class.into();
        assert_takes(&Scheduler::from_json(&json).unwrap(), None, expected);
    }
}

#[test]
fn a_replayed_state_is_the_state_that_was_recorded() {
    let scheduler = Scheduler::default();
    let sampler = SamplerChoice { steps: Some(5), ..SamplerChoice::new(scheduler.sampler().unwrap()) }
        .resolve(&scheduler)
        .unwrap();
    // One entry for x_T and one for each of the four noisy steps.
    let noise: Vec<f32> = (0..5 * 2).map(|i| (i as f32 * 0.37).sin()).collect();
    let recorded = RecordedNoise::new(&[5, 1, 2], &noise).unwrap();
    let mut states = vec![noise[..2].to_vec()];
    let mut sampler = sampler.stepper();
    let mut remember = |state: State<'_, Flex, 2>| {
        states.push(state.x.to_data().into_vec().unwrap());
        ControlFlow::Continue(())
    };
    walk(&mut sampler, &Bounded::new(1000), &recorded, [1, 2], &DEVICE, &mut remember).unwrap();
    for step in 1..=5 {
        let x = Tensor::<Flex, 2>::from_data(TensorData::new(states[step - 1].clone(), [1, 2]), &DEVICE);
        let next =
            sampler.step(step, x, &Bounded::new(1000), &recorded).unwrap().x.into_data().into_vec::<f32>().unwrap();
        assert_eq!(next, states[step], "step {step}");
    }
}
