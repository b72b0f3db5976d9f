//! A model is fitted, sampled and scored as a library.

use std::{fs, ops::ControlFlow, path::Path};

use burn::backend::{Flex, flex::FlexDevice};
use sfumato_data::Dataset;
use sfumato_evaluate::{Condition, FitPlan, fit};
use sfumato_model::{
    Model, ModelError, Spacing,
    fitted::{FIT_FILE, FitFileError, Placement},
    pipeline::Pipeline,
    sampling::SamplerKind,
};
use sfumato_process::{
    ReverseVariance, VarianceRule,
    bound::{BoundNoise, Decoder, Examples},
    fit::{MeasurePlan, measured_steps},
};

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

impl Examples for Squares {
    fn len(&self) -> usize {
        100
    }

    fn shape(&self) -> &[usize] {
        &[1, 8, 8]
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        Dataset::write(self, i, out);
    }
}

/// A copy of one of the small models that the program's tests have.
fn copy(dir: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/golden/bits_per_dim/model");
    for file in ["unet/config.json", "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"] {
        fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
        fs::copy(from.join(file), dir.join(file)).unwrap();
    }
    fs::write(dir.join("model_index.json"), "{}").unwrap();
}

fn opened(dir: &Path) -> Model<Flex> {
    Model::load(Pipeline::open(dir).unwrap(), &FlexDevice).unwrap()
}

#[test]
fn a_fitted_model_draws_and_scores_by_its_fit() {
    let dir = tempfile::tempdir().unwrap();
    copy(dir.path());
    let model = opened(dir.path());
    let missing = model.sample(1).variance(VarianceRule::Analytic).draw();
    assert!(matches!(missing, Err(ModelError::Fit(FitFileError::Missing { .. }))), "{missing:?}");
    assert!(model.score(&Squares, Decoder::Gaussian).spacing(Placement::Best).run().is_err());
    let measure = MeasurePlan {
        decoder: Decoder::Gaussian,
        steps: measured_steps(12, 1),
        draws: 2,
        noise: BoundNoise::Seeded(2),
    };
    let plan = FitPlan { measure, condition: Condition::None, num: 100, seed: 2, batch_size: 30 };
    let measured = fit(&model, &plan, &Squares, &mut |_| ControlFlow::Continue(())).unwrap();
    let written = model.pipeline().write_fit(measured, Default::default()).unwrap();
    assert!(dir.path().join(FIT_FILE).is_file() && written.path.ends_with(FIT_FILE));
    // What is read is what was written, to the bit.
    assert_eq!(model.pipeline().fit().unwrap().fit.measured(), written.fit.measured());

    let best = model.sample(3).steps(5).spacing(Placement::Best).variance(VarianceRule::Analytic);
    let plan = best.plan().unwrap();
    let expected = written.fit.best_chain(VarianceRule::Analytic, 5).unwrap();
    assert_eq!(plan.sampler.chain().original_steps(), expected);
    let variances = written.fit.sampling_log_variances(VarianceRule::Analytic, &expected).unwrap();
    for (i, variance) in (1..).zip(variances) {
        assert_eq!(plan.sampler.chain().log_variance(i), Some(variance));
    }
    assert!(best.draw().unwrap().values().iter().all(|x| x.is_finite()));
    let ddim = model.sample(1).sampler(SamplerKind::Ddim).steps(4).spacing(Placement::Best).plan().unwrap();
    let steps = written.fit.best_chain(VarianceRule::FixedSmall, 4).unwrap();
    assert_eq!(ddim.sampler.chain().original_steps(), steps);
    let pairs = ddim.sampler.leaps().unwrap().pairs().to_vec();
    assert!(pairs.windows(2).all(|pair| pair[0].1 == pair[1].0), "each leap leads to the next step: {pairs:?}");

    let score = |spacing: Placement, variance: VarianceRule| {
        let score = model.score(&Squares, Decoder::Gaussian).steps(5).stride(1).draws(5).spacing(spacing);
        score.variance(variance).run().unwrap().total.mean / 64.0
    };
    for rule in VarianceRule::ALL {
        let (best, even) = (score(Placement::Best, rule), score(Spacing::Linspace.into(), rule));
        assert!(best <= even + 0.01, "{rule:?}: {best} for {even}");
        let terms = written.fit.bound(rule, &written.fit.best_chain(rule, 5).unwrap()).unwrap();
        assert!((best - terms).abs() < 0.05 * (1.0 + terms.abs()), "{rule:?}: {best} by eval, {terms} by its terms");
    }
    let small = score(Placement::Best, ReverseVariance::FixedSmall.into());
    assert!(score(Placement::Best, VarianceRule::Optimal) < small);
}
