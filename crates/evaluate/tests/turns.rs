//! Two models in turns: the terms are those of each by itself, wherever the work stops.

use std::{ops::ControlFlow, path::Path};

use burn::backend::{Flex, flex::FlexDevice};
use sfumato_data::Dataset;
use sfumato_evaluate::{
    BoundPlan, Condition, Contender, EvalPlan, Order, PairError, PairProgress, evaluate, evaluate_pair,
};
use sfumato_model::{Model, pipeline::Pipeline};
use sfumato_process::bound::{BoundNoise, Decoder, ExampleTerms, Plan, Strata};

/// Squares of some brightness, 8×8.
struct Squares;

impl Dataset for Squares {
    fn len(&self) -> usize {
        100
    }

    fn shape(&self) -> &[usize] {
        &[1, 8, 8]
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.iter_mut()
            .enumerate()
            .for_each(|(j, x)| *x = if (j / 8 + i) % 8 < 4 { i as f32 / 50.0 - 1.0 } else { -1.0 });
    }
}

/// One of the small models that the program's tests have.
fn model(name: &str) -> Model<Flex> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/golden/bits_per_dim").join(name);
    Model::load(Pipeline::open(&dir).unwrap(), &FlexDevice).unwrap()
}

fn plan(model: &Model<Flex>, steps: usize, batch_size: usize) -> EvalPlan<'static> {
    EvalPlan {
        chain: model.pipeline().spec.scheduler.evenly_spaced_chain(steps).unwrap(),
        bound: Plan {
            decoder: Decoder::Gaussian,
            strata: Strata::with_stride(steps, 3),
            draws: 1,
            noise: BoundNoise::Seeded(5),
            seed: 5,
        }
        .into(),
        condition: Condition::None,
        num: 70,
        order: Order::Random { seed: 5 },
        batch_size,
    }
}

fn go_on<T>(_: T) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Two models of different chains, 12 and 7 steps, each alone.
fn alone(models: &[Model<Flex>; 2], plans: &[EvalPlan<'_>; 2]) -> [Vec<ExampleTerms>; 2] {
    [0, 1].map(|i| evaluate(&models[i], &plans[i], &Squares, &mut go_on).unwrap().each)
}

fn contenders<'a>(models: &'a [Model<Flex>; 2], plans: &'a [EvalPlan<'a>; 2]) -> [Contender<'a, Flex>; 2] {
    [0, 1].map(|i| Contender { model: &models[i], plan: &plans[i], data: &Squares })
}

#[test]
fn terms_are_those_of_each_model_by_itself_to_the_bit() {
    let models = [model("model"), model("model-learned")];
    for batch_size in [1, 16, 64] {
        let plans = [plan(&models[0], 12, batch_size), plan(&models[1], 7, batch_size)];
        let mut seen = Vec::new();
        let mut observe = |progress: PairProgress| {
            seen.push(progress);
            ControlFlow::Continue(())
        };
        let found = evaluate_pair(contenders(&models, &plans), &mut observe).unwrap();
        assert_eq!(found, alone(&models, &plans), "batch size {batch_size}");
        assert_eq!(found[0].len(), 70);
        let last = seen.last().unwrap();
        assert_eq!((last.evaluations, last.total), (last.total, 70 * plans.iter().map(points).sum::<u64>()));
        assert!(seen.is_sorted_by_key(|progress| (progress.evaluations, progress.pairs)));
        // What is said on the way is the difference so far.
        let told = seen.iter().rev().find_map(|progress| progress.difference).unwrap();
        let n = told.count as usize;
        let sum: f64 = found[1][..n].iter().zip(&found[0][..n]).map(|(b, a)| b.total() - a.total()).sum();
        assert!((told.mean - sum / n as f64).abs() < 1e-9 * sum.abs());
    }
}

fn points(plan: &EvalPlan<'_>) -> u64 {
    plan.bound.points_per_example() as u64
}

#[test]
fn a_stop_leaves_the_pairs_that_both_have_done() {
    let models = [model("model"), model("model-learned")];
    let plans = [plan(&models[0], 12, 16), plan(&models[1], 7, 16)];
    let whole = alone(&models, &plans);
    let (mut lengths, mut nothing) = (Vec::new(), 0);
    for batches in (1..).step_by(6) {
        let mut left = batches;
        let mut observe = |_: PairProgress| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match evaluate_pair(contenders(&models, &plans), &mut observe) {
            Err(PairError::Stopped) => nothing += 1,
            Err(error) => panic!("{error}"),
            Ok([a, b]) => {
                assert_eq!((&a[..], &b[..]), (&whole[0][..a.len()], &whole[1][..a.len()]));
                lengths.push(a.len());
                if a.len() == 70 {
                    break;
                }
            }
        }
    }
    // In the middle of the turns too, and never fewer for a later stop.
    assert!(nothing > 0 && lengths.is_sorted() && lengths.iter().any(|n| n % 32 > 0 && *n < 70), "{lengths:?}");
}

#[test]
fn the_model_that_fails_is_named() {
    let models = [model("model"), model("model-learned")];
    let mut plans = [plan(&models[0], 12, 16), plan(&models[1], 7, 16)];
    let BoundPlan::Steps(bound) = &mut plans[1].bound else { panic!("a sum over steps") };
    bound.draws = 0;
    let error = evaluate_pair(contenders(&models, &plans), &mut go_on).unwrap_err();
    assert_eq!(error.to_string(), "model B cannot be scored");
}
