//! Every sampler takes every number of steps that a schedule has, from `scheduler_config.json` to the last state.

use std::ops::ControlFlow;

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{Tensor, TensorData},
};
use serde_json::json;
use sfumato_nets::pipeline::Scheduler;
use sfumato_process::{
    Denoiser, RecordedNoise, SeededNoise,
    sampler::{Ancestral, DdimSteps, DpmSolver, Euler, Heun, SampleError, State, Stepper, walk},
};
use sfumato_train::sampling::{Sampler, SamplerChoice};

const DEVICE: FlexDevice = FlexDevice;

/// A smooth guess of the data, bounded whatever it is shown.
struct Bounded;

impl Denoiser<Flex, 2> for Bounded {
    fn predict(&self, x_t: Tensor<Flex, 2>, _: &[usize]) -> Tensor<Flex, 2> {
        (x_t * 0.7 + 0.1).tanh()
    }

    fn predict_between(&self, x_t: Tensor<Flex, 2>, t: &[f64]) -> Tensor<Flex, 2> {
        assert!(t.iter().all(|t| (1.0..=37.0).contains(t)), "{t:?}");
        self.predict(x_t, &[])
    }
}

/// The last state, and the number of steps that led to it.
fn draw(sampler: &mut impl Stepper<Flex, 2>) -> (Vec<f64>, usize) {
    let mut steps = 0;
    let mut count = |state: State<'_, Flex, 2>| {
        steps += 1;
        assert_eq!(state.done, steps);
        ControlFlow::Continue(())
    };
    let x: Result<_, SampleError> = walk(sampler, &Bounded, &SeededNoise::new(1), [1, 2], &DEVICE, &mut count);
    (x.unwrap().into_data().iter::<f64>().collect(), steps)
}

fn run(scheduler: &Scheduler, choice: &SamplerChoice) -> (Vec<f64>, usize) {
    let (chain, sampler) =
        choice.resolve(scheduler).unwrap_or_else(|error| panic!("{scheduler:?} {choice:?}: {error}"));
    match &sampler {
        Sampler::Ddpm => draw(&mut Ancestral::new(&chain)),
        Sampler::Ddim { options, leaps } => draw(&mut DdimSteps::new(&chain, *options).with_leaps(leaps.clone())),
        Sampler::DpmSolver { levels, options } => draw(&mut DpmSolver::new(&chain, levels, *options)),
        Sampler::Euler(levels) => draw(&mut Euler::new(&chain, levels)),
        Sampler::Heun(levels) => draw(&mut Heun::new(&chain, levels)),
    }
}

#[test]
fn every_sampler_takes_any_number_of_steps() {
    for class in [
        "DDPMScheduler",
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
    ] {
        for total in [1, 2, 3, 10, 37] {
            for (spacing, special) in [("leading", true), ("linspace", true), ("trailing", true), ("linspace", false)] {
                let scheduler = Scheduler::from_json(&json!({
                    "_class_name": class, "num_train_timesteps": total, "beta_end": 0.4, "timestep_spacing": spacing,
                    "prediction_type": "v_prediction", "use_karras_sigmas": special && class != "DDPMScheduler",
                    "rescale_betas_zero_snr": special, "solver_order": 3, "clip_sample": false,
                }))
                .unwrap();
                for steps in 1..=total {
                    let kind = scheduler.sampler().unwrap();
                    let eta = if class == "DDIMScheduler" { 0.5 } else { 0.0 };
                    let choice = SamplerChoice { steps: Some(steps), eta, ..SamplerChoice::new(kind) };
                    let (x, taken) = run(&scheduler, &choice);
                    assert!(
                        taken == steps && x.iter().all(|x| x.is_finite()),
                        "{class} {spacing} {steps}/{total}: {x:?}"
                    );
                }
                let none = SamplerChoice { steps: Some(total + 1), ..SamplerChoice::new(scheduler.sampler().unwrap()) };
                assert!(none.resolve(&scheduler).is_err());
            }
        }
    }
}

#[test]
fn a_replayed_state_is_the_state_that_was_recorded() {
    let scheduler = Scheduler::default();
    let (chain, _) = SamplerChoice { steps: Some(5), ..SamplerChoice::new(scheduler.sampler().unwrap()) }
        .resolve(&scheduler)
        .unwrap();
    // One entry for x_T and one for each of the four noisy steps.
    let noise: Vec<f32> = (0..5 * 2).map(|i| (i as f32 * 0.37).sin()).collect();
    let recorded = RecordedNoise::new(&[5, 1, 2], &noise).unwrap();
    let mut states = vec![noise[..2].to_vec()];
    let mut sampler = Ancestral::new(&chain);
    let mut remember = |state: State<'_, Flex, 2>| {
        states.push(state.x.to_data().into_vec().unwrap());
        ControlFlow::Continue(())
    };
    walk(&mut sampler, &Bounded, &recorded, [1, 2], &DEVICE, &mut remember).unwrap();
    for step in 1..=5 {
        let x = Tensor::<Flex, 2>::from_data(TensorData::new(states[step - 1].clone(), [1, 2]), &DEVICE);
        let next = sampler.step(step, x, &Bounded, &recorded).unwrap().x.into_data().into_vec::<f32>().unwrap();
        assert_eq!(next, states[step], "step {step}");
    }
}
