//! Scores in continuous time as a library: by a few words, by a plan, and of two models in turns.

use std::{ops::ControlFlow, path::Path};

use burn::backend::{Flex, flex::FlexDevice};
use sfumato_data::Dataset;
use sfumato_evaluate::{BoundPlan, Condition, Contender, EvalPlan, Order, evaluate, evaluate_pair};
use sfumato_model::{Model, pipeline::Pipeline};
use sfumato_process::bound::{ContinuousPlan, Decoder, Examples, LevelStrata};

/// Squares of some brightness, 8×8.
struct Squares;

impl Dataset for Squares {
    fn len(&self) -> usize {
        40
    }

    fn shape(&self) -> &[usize] {
        &[1, 8, 8]
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.iter_mut()
            .enumerate()
            .for_each(|(j, x)| *x = if (j / 8 + i) % 8 < 4 { i as f32 / 20.0 - 1.0 } else { -1.0 });
    }
}

impl Examples for Squares {
    fn len(&self) -> usize {
        Dataset::len(self)
    }

    fn shape(&self) -> &[usize] {
        Dataset::shape(self)
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        Dataset::write(self, i, out);
    }
}

/// One of the small models that the program's tests have.
fn model(name: &str) -> Model<Flex> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/golden/bits_per_dim").join(name);
    Model::load(Pipeline::open(&dir).unwrap(), &FlexDevice).unwrap()
}

fn plan(model: &Model<Flex>) -> EvalPlan<'static> {
    let chain = model.pipeline().spec.scheduler.evenly_spaced_chain(12).unwrap();
    let levels = LevelStrata::of(&chain, LevelStrata::USUAL);
    EvalPlan {
        chain,
        bound: BoundPlan::Continuous(ContinuousPlan { decoder: Decoder::Gaussian, levels, draws: 2, seed: 3 }),
        condition: Condition::None,
        num: 40,
        order: Order::First,
        batch_size: 16,
    }
}

#[test]
fn few_words_a_plan_and_turns_have_the_same_terms() {
    let models = [model("model"), model("model-learned")];
    let plans = [plan(&models[0]), plan(&models[1])];
    assert!(plans[0].bound.visits_as(&plans[1].bound));
    let alone = [0, 1].map(|i| evaluate(&models[i], &plans[i], &Squares, &mut |_| ControlFlow::Continue(())).unwrap());
    assert_eq!((alone[0].evaluations, alone[0].levels.len()), (40 * 42, 10));
    for (model, bound) in models.iter().zip(&alone) {
        let score = model.score(&Squares, Decoder::Gaussian).continuous().draws(2).seed(3).batch_size(16);
        assert_eq!(&score.run().unwrap(), bound);
    }
    let contenders = [0, 1].map(|i| Contender { model: &models[i], plan: &plans[i], data: &Squares });
    let pair = evaluate_pair(contenders, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(pair, alone.map(|bound| bound.each));
    let strides = models[0].score(&Squares, Decoder::Gaussian).continuous().stride(2).run();
    assert!(strides.unwrap_err().to_string().contains("in continuous time there are none"));
}
