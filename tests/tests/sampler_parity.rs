//! The samplers against diffusers: the same predictions and the same noise give the same states.
//!
//! `golden/samplers/make_samplers.py` made the trajectories and says with which versions. Every case starts from the
//! `scheduler_config.json` that diffusers wrote, so that what it says about the steps is tested too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData},
};
use serde_json::Value;
use sfumato_model::Spacing;
use sfumato_model::sampling::{SamplerChoice, SamplerKind};
use sfumato_model::{
    pipeline::{Pipeline, Scheduler},
    tensor_file::read_tensors,
};
use sfumato_process::{
    Clipping, Denoiser, NoiseError, NoiseSource, Parameterization, noise,
    sampler::{Stepper, ignore, walk},
};
use sfumato_schedule::NoiseSchedule;

const DEVICE: FlexDevice = FlexDevice;
/// Largest difference of final states: both sides round to f32 at every step, at most a thousand times.
const FINAL: f64 = 1e-3;
/// Largest difference after one step.
const STEP: f64 = 1e-5;
/// The same where float32 leaves diffusers few digits: in its DDPMScheduler the weights of `x_0` and `x_t` come from `1 - ᾱ_t / ᾱ_{t-1}`,
/// wrong by 3e-8 of 1e-4 next to the data, and its EulerAncestralDiscreteScheduler adds a long step to a large state. Against the same
/// formulas in float64 [`STEP`] holds.
const STEP_OF_FLOAT32: f64 = 1.5e-4;

/// The same noise as in the script: SplitMix64, then Box and Muller.
struct HashedNoise {
    /// Samples of the batch.
    batch: usize,
}

impl NoiseSource for HashedNoise {
    fn fill(&self, draw: usize, sample: usize, _: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        let first = (draw * self.batch + sample) * out.len();
        for (i, out) in out.iter_mut().enumerate() {
            let n = 2 * (first + i) as u64;
            let a = ((splitmix(n) >> 11) as f64 + 1.0) * 2f64.powi(-53);
            let b = (splitmix(n + 1) >> 11) as f64 * 2f64.powi(-53);
            *out = ((-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()) as f32;
        }
        Ok(())
    }
}

/// The n-th output of SplitMix64 from seed 0.
fn splitmix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The closed-form denoiser of the script.
struct Smooth {
    parameterization: Parameterization,
    learned: bool,
}

impl Denoiser<Flex, 4> for Smooth {
    fn predict(&self, x_t: Tensor<Flex, 4>, t: &[usize]) -> Tensor<Flex, 4> {
        self.predict_between(x_t, &t.iter().map(|&t| t as f64).collect::<Vec<_>>())
    }

    fn predict_between(&self, x_t: Tensor<Flex, 4>, t: &[f64]) -> Tensor<Flex, 4> {
        let [batch, channels, height, width] = x_t.dims();
        let each = channels * height * width;
        // The script is told the time as f32, counted from 0.
        let u = (f64::from((t[0] - 1.0) as f32) + 1.0) / 1000.0;
        let g = (-0.1 * u - 10.0 * u * u).exp();
        let (signal, spread) = (g.sqrt(), (1.0 - g).sqrt());
        let dtype = x_t.dtype();
        let x = values(x_t);
        let pattern = |i: usize| (i % each) as f64 * 7.0 % 11.0 / 5.5 - 1.0;
        let predict = |(i, &x): (usize, &f64)| {
            let x_0 = 1.2 * (signal / (0.25 * g + 1.0 - g) * x + pattern(i)).tanh();
            let epsilon = (x - signal * x_0) / spread;
            match self.parameterization {
                Parameterization::Epsilon => epsilon,
                Parameterization::X0 => x_0,
                Parameterization::V => signal * epsilon - spread * x_0,
            }
        };
        let output: Vec<f64> = x.iter().enumerate().map(predict).collect();
        let output = TensorData::new(output, [batch, channels, height, width]);
        // Of f32 where the state is.
        let output = Tensor::from_data(output, (&DEVICE, dtype));
        if !self.learned {
            return output;
        }
        let range: Vec<f32> = x.iter().enumerate().map(|(i, x)| (0.5 * x - pattern(i)).tanh() as f32).collect();
        let range = Tensor::from_data(TensorData::new(range, [batch, channels, height, width]), &DEVICE);
        Tensor::cat(vec![output, range], 1)
    }
}

fn values(x: Tensor<Flex, 4>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// What the script recorded.
struct Golden {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    schedulers: Value,
    cases: Vec<Value>,
}

impl Golden {
    fn read() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/samplers");
        let tensors = read_tensors(&folder.join("samplers.safetensors")).unwrap();
        let mut json: Value = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
        Self {
            tensors: tensors.into_iter().map(|tensor| (tensor.name, (tensor.shape, tensor.values))).collect(),
            schedulers: json["schedulers"].take(),
            cases: json["cases"].as_array().unwrap().clone(),
        }
    }

    fn scheduler(&self, case: &Value) -> Scheduler {
        let json = &self.schedulers[case["scheduler"].as_str().unwrap()];
        let scheduler = Scheduler::from_json(json).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert!(
            scheduler.other.is_empty(),
            "{}: diffusers' own keys are all known, but for {:?}",
            case["name"],
            scheduler.other
        );
        scheduler
    }

    fn of(&self, case: &Value, what: &str) -> &(Vec<usize>, Vec<f32>) {
        &self.tensors[&format!("{}/{what}", case["name"].as_str().unwrap())]
    }

    /// The schedule with the very `ᾱ` of diffusers' steps, which float32 has rounded.
    fn rounded_schedule(&self, case: &Value) -> NoiseSchedule {
        let scheduler = case["scheduler"].as_str().unwrap();
        // Its own where it differs from the configuration's; one for all combinations of spacing, prediction and clipping.
        let config = scheduler.split('/').next().unwrap();
        let names = [scheduler, config, "product"].map(|name| format!("{name}/alphas_cumprod"));
        let table = names.iter().find_map(|name| self.tensors.get(name)).unwrap();
        let alpha_bars: Vec<f64> = table.1.iter().map(|&alpha_bar| f64::from(alpha_bar)).collect();
        let mut betas = vec![1.0 - alpha_bars[0]];
        betas.extend(alpha_bars.windows(2).map(|pair| 1.0 - pair[1] / pair[0]));
        if self.scheduler(case).zero_terminal_snr {
            betas.pop();
            betas.push(1.0 - f64::EPSILON / 2.0);
        }
        NoiseSchedule::from_betas(betas).unwrap()
    }
}

/// The largest differences of one case: of the final state, and of any single step.
#[derive(Default)]
struct Differences {
    last: f64,
    step: f64,
    at: f32,
}

/// Compares a whole walk with the golden one, or each recorded step from the golden state before it.
fn compare(
    sampler: &mut dyn Stepper<Flex, 4>,
    denoiser: &dyn Denoiser<Flex, 4>,
    golden: &Golden,
    case: &Value,
    steps: bool,
) -> Differences {
    let shape: [usize; 4] = golden.of(case, "final").0.clone().try_into().unwrap();
    if !steps {
        let last = walk(sampler, denoiser, &HashedNoise { batch: shape[0] }, shape, &DEVICE, &mut ignore).unwrap();
        return Differences { last: distance(&values(last), &golden.of(case, "final").1), ..Differences::default() };
    }
    let mut found = Differences::default();
    let (before, after) = (&golden.of(case, "before").1, &golden.of(case, "after").1);
    let exact = golden.tensors.get(&format!("{}/after_f64", case["name"].as_str().unwrap())).map(|(_, values)| values);
    let size: usize = shape.iter().product();
    for (i, &step) in golden.of(case, "steps").1.iter().enumerate() {
        let x = TensorData::new(before[i * size..][..size].to_vec(), shape);
        let next = sampler
            .step(step as usize, Tensor::from_data(x, &DEVICE), denoiser, &HashedNoise { batch: shape[0] })
            .unwrap();
        // Of states as large as the noise, in the scale of the data.
        let scale = sampler.view_scale(step as usize);
        let x = values(next.x);
        let mut difference = distance(&x, &after[i * size..][..size]) * scale;
        if let Some(exact) = exact {
            assert!(difference <= STEP_OF_FLOAT32, "{}, step {step}: {difference}", case["name"]);
            difference = distance(&x, &exact[i * size..][..size]) * scale;
        }
        if difference > found.step {
            (found.step, found.at) = (difference, step);
        }
    }
    found
}

fn distance(ours: &[f64], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, &b)| (a - f64::from(b)).abs());
    // A NaN is as far away as can be.
    differences.fold(0.0, |max, difference| if difference <= max { max } else { difference })
}

/// The largest difference of the final state where both sides have states in f64.
fn compare_in_f64(
    sampler: &mut dyn Stepper<Flex, 4>,
    denoiser: &dyn Denoiser<Flex, 4>,
    golden: &Golden,
    case: &Value,
) -> f64 {
    let shape: [usize; 4] = golden.of(case, "final").0.clone().try_into().unwrap();
    let noise = HashedNoise { batch: shape[0] };
    let start = values(noise::normal::<Flex, 4>(&noise, 0, shape, &DEVICE).unwrap());
    let mut x = Tensor::from_data(TensorData::new(start, shape), (&DEVICE, DType::F64));
    for step in 1..=sampler.total() {
        x = sampler.step(step, x, denoiser, &noise).unwrap().x;
    }
    distance(&values(x), &golden.of(case, "final").1)
}

fn check(golden: &Golden, case: &Value, denoiser: &dyn Denoiser<Flex, 4>, steps: bool) -> Differences {
    let scheduler = golden.scheduler(case);
    let choice = SamplerChoice {
        steps: case["steps"].as_u64().map(|steps| steps as usize),
        eta: case["eta"].as_f64().unwrap(),
        ..SamplerChoice::new(scheduler.sampler().unwrap())
    };
    let sampler =
        if steps { choice.resolve_on(&scheduler, &golden.rounded_schedule(case)) } else { choice.resolve(&scheduler) };
    compare(&mut sampler.unwrap().stepper(), denoiser, golden, case, steps)
}

/// Compares every case of the closed-form denoiser.
fn check_all(steps: bool, fits: impl Fn(&Differences) -> bool) {
    let golden = Golden::read();
    let mut failures = Vec::new();
    let cases: Vec<&Value> =
        golden.cases.iter().filter(|case| case["net"].is_null() && case["float64"] != true).collect();
    assert!(cases.len() >= 645);
    for case in cases {
        let scheduler = golden.scheduler(case);
        let (parameterization, learned) = (scheduler.parameterization, scheduler.variance.learned().is_some());
        let found = check(&golden, case, &Smooth { parameterization, learned }, steps);
        let name = case["name"].as_str().unwrap();
        let line = format!("{name:<32} final {:.1e}, step {:.1e} (number {})", found.last, found.step, found.at);
        println!("{line}");
        if !fits(&found) {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

/// What the script's cases span, from the configurations themselves.
#[test]
fn every_combination_of_sampler_spacing_prediction_and_clipping_is_compared() {
    let golden = Golden::read();
    let mut seen = BTreeSet::new();
    for case in golden.cases.iter().filter(|case| case["net"].is_null()) {
        let scheduler = golden.scheduler(case);
        let spacing = scheduler.sampling.spacing.name();
        let clips = scheduler.clipping() != Clipping::Off;
        let kind = scheduler.sampler().unwrap();
        let solvers = &scheduler.sampling;
        let order = u8::from(if kind == SamplerKind::UniPc { solvers.uni_pc.order } else { solvers.solver.order });
        let eta = case["eta"].to_string();
        seen.insert((
            kind.name(),
            (case["steps"].as_u64().unwrap(), order, eta),
            spacing,
            format!("{:?}", scheduler.parameterization),
            clips,
        ));
    }
    let walks = |kind| match kind {
        SamplerKind::Ddpm => [1000, 50].map(|steps| (steps, 2, "0.0")).to_vec(),
        SamplerKind::Ddim => {
            let steps = [50, 7].into_iter();
            steps.flat_map(|steps| ["0.0", "0.5", "1.0"].map(|eta| (steps, 2, eta))).collect()
        }
        SamplerKind::DpmSolver | SamplerKind::UniPc => {
            [20, 7].into_iter().flat_map(|steps| [1, 2, 3].map(|order| (steps, order, "0.0"))).collect()
        }
        SamplerKind::DpmSolverSde => {
            [20, 7].into_iter().flat_map(|steps| [1, 2].map(|order| (steps, order, "0.0"))).collect()
        }
        SamplerKind::EulerAncestral => [50, 7].map(|steps| (steps, 2, "0.0")).to_vec(),
        SamplerKind::Euler | SamplerKind::Heun => vec![(20, 2, "0.0")],
    };
    let mut missing = Vec::new();
    for kind in SamplerKind::all().map(|info| info.kind) {
        // diffusers' classes of the other solvers do not clip, and its ancestral Euler knows no predictions of the data.
        let clipping: &[bool] = match kind {
            SamplerKind::Ddpm | SamplerKind::Ddim | SamplerKind::Heun => &[true, false],
            _ => &[false],
        };
        let predictions: &[&str] =
            if kind == SamplerKind::EulerAncestral { &["Epsilon", "V"] } else { &["Epsilon", "X0", "V"] };
        for (steps, order, eta) in walks(kind) {
            for spacing in Spacing::NAMES {
                for &prediction in predictions {
                    for &clips in clipping {
                        let key = (kind.name(), (steps, order, eta.to_owned()), spacing, prediction.to_owned(), clips);
                        if !seen.contains(&key) {
                            missing.push(key);
                        }
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "{} are missing: {missing:?}", missing.len());
}

#[test]
fn final_states_are_those_of_diffusers() {
    check_all(false, |found| found.last <= FINAL);
}

/// UniPC in the noise: its terms cancel where there is little signal, which float32 does not stand.
#[test]
fn final_states_in_float64_are_those_of_diffusers() {
    let golden = Golden::read();
    let cases: Vec<&Value> = golden.cases.iter().filter(|case| case["float64"] == true).collect();
    assert!(cases.len() >= 9);
    for case in cases {
        let scheduler = golden.scheduler(case);
        let choice = SamplerChoice {
            steps: case["steps"].as_u64().map(|steps| steps as usize),
            ..SamplerChoice::new(scheduler.sampler().unwrap())
        };
        let sampler = choice.resolve(&scheduler).unwrap();
        let denoiser = Smooth { parameterization: scheduler.parameterization, learned: false };
        let last = compare_in_f64(&mut sampler.stepper(), &denoiser, &golden, case);
        println!("{:<32} final {last:.1e}", case["name"].as_str().unwrap());
        assert!(last <= STEP, "{}: {last}", case["name"]);
    }
}

#[test]
fn single_steps_are_those_of_diffusers() {
    check_all(true, |found| found.step <= STEP);
}

#[test]
fn images_of_a_network_are_those_of_diffusers() {
    let golden = Golden::read();
    for case in golden.cases.iter().filter(|case| !case["net"].is_null()) {
        let pipeline = Pipeline::open(&network(case["net"].as_str().unwrap())).unwrap();
        let net = pipeline.load_unet::<Flex>(&DEVICE).unwrap();
        let found = check(&golden, case, &net, false);
        println!("{:<32} final {:.1e}", case["name"].as_str().unwrap(), found.last);
        assert!(found.last <= FINAL, "{}: {}", case["name"], found.last);
    }
}

fn network(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/golden").join(name)
}
