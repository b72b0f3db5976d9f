//! The process that a model was trained for, in words: variance, clipping, and how it is sampled from.

use serde_json::{Value, json};
use sfumato_model::fitted::ModelFit;
use sfumato_model::pipeline::{SamplingDefaults, Scheduler};
use sfumato_model::sampling::{FinalSigma, SamplerKind};
use sfumato_process::{
    Clipping, ModelVariance,
    sampler::{DpmSolverOptions, SolverType},
};

/// The name of the variance.
pub(super) fn variance_name(scheduler: &Scheduler) -> &'static str {
    scheduler.variance.name()
}

/// The variance and what it is.
pub(super) fn variance(scheduler: &Scheduler) -> String {
    let what = match scheduler.variance {
        ModelVariance::LearnedRange => {
            "the second half of the output says where it lies between those of fixed-small and fixed-large"
        }
        ModelVariance::Learned => "the second half of the output is its logarithm, from that of fixed-large on",
        ModelVariance::FixedSmall => "that of the posterior, beta tilde",
        ModelVariance::FixedLarge => "that of the forward step, beta",
    };
    format!("{}: {what}", variance_name(scheduler))
}

/// What is done to predictions of the clean data.
pub(super) fn clipping(scheduler: &Scheduler) -> String {
    match scheduler.clipping() {
        Clipping::Off => "no".to_owned(),
        Clipping::Fixed { range } => format!("to [-{range}, {range}]"),
        Clipping::Dynamic { ratio, max } => format!("at their {ratio} quantile, at most {max} (dynamic thresholding)"),
    }
}

/// The sampler and its settings, as `sample` takes them if nothing else is said.
pub(super) fn sampler(scheduler: &Scheduler) -> String {
    let Some(kind) = scheduler.sampler() else {
        let (class, nearest) = (&scheduler.class_name, scheduler.nearest_sampler());
        return format!("{nearest}, as that of {class} does not exist here; --sampler chooses another");
    };
    let SamplingDefaults { spacing, steps_offset, set_alpha_to_one, karras, end, lambda_min, solver, uni_pc } =
        scheduler.sampling.clone();
    let mut parts = vec![format!("{kind}, spacing {spacing}")];
    if steps_offset > 0 {
        parts.push(format!("{steps_offset} later"));
    }
    if kind == SamplerKind::Ddim && !set_alpha_to_one {
        parts.push("to the first step instead of clean data".into());
    }
    if matches!(kind, SamplerKind::DpmSolver | SamplerKind::DpmSolverSde) {
        let DpmSolverOptions { equation: _, order, solver_type, lower_order_final, euler_at_final } = solver;
        let name = match solver_type {
            SolverType::Midpoint => "midpoint",
            SolverType::Heun => "heun",
        };
        parts.push(format!("order {}, {name}", u8::from(order)));
        if !lower_order_final {
            parts.push("of this order to the end".into());
        }
        if euler_at_final {
            parts.push("the last step of order 1".into());
        }
    }
    if kind == SamplerKind::UniPc {
        parts.push(format!("order {}, {}", u8::from(uni_pc.order), uni_pc.scale.name()));
        if !uni_pc.predict_x0 {
            parts.push("of the noise".into());
        }
        if !uni_pc.lower_order_final {
            parts.push("of this order to the end".into());
        }
        if !uni_pc.disable_corrector.is_empty() {
            parts.push(format!("not corrected at {:?}", uni_pc.disable_corrector));
        }
    }
    if karras {
        parts.push("Karras levels".into());
    }
    if end == FinalSigma::First {
        parts.push("to the first step's noise instead of clean data".into());
    }
    if lambda_min.is_finite() {
        parts.push(format!("from half log-SNR {lambda_min}"));
    }
    parts.join(", ")
}

/// The fit that lies beside the weights.
pub(super) fn fit(fit: &ModelFit) -> String {
    let data = fit.data.get("dataset").and_then(Value::as_str).unwrap_or("unknown data");
    let examples = fit.fit.measured().examples;
    format!("on {examples} training examples of {data}: for --variance analytic, --variance optimal and --spacing best")
}

/// The same for programs.
pub(super) fn fit_json(fit: &ModelFit) -> Value {
    let measured = fit.fit.measured();
    json!({ "file": fit.path, "data": fit.data, "examples": measured.examples, "nodes": measured.nodes.len() })
}

/// The sampler and its settings under their names in `scheduler_config.json`; null where there is none.
pub(super) fn sampler_json(scheduler: &Scheduler) -> Value {
    let Some(kind) = scheduler.sampler() else { return Value::Null };
    let SamplingDefaults { spacing, steps_offset, set_alpha_to_one, karras, end, lambda_min, solver, uni_pc } =
        scheduler.sampling.clone();
    let mut value = json!({ "name": kind.name(), "timestep_spacing": spacing.name(), "steps_offset": steps_offset });
    match kind {
        // Euler-ancestral's class knows no more.
        SamplerKind::Ddpm | SamplerKind::EulerAncestral => {}
        SamplerKind::Ddim => value["set_alpha_to_one"] = json!(set_alpha_to_one),
        SamplerKind::DpmSolver
        | SamplerKind::DpmSolverSde
        | SamplerKind::UniPc
        | SamplerKind::Euler
        | SamplerKind::Heun => {
            value["use_karras_sigmas"] = json!(karras);
            value["final_sigmas_type"] = json!(if end == FinalSigma::First { "sigma_min" } else { "zero" });
        }
    }
    if kind == SamplerKind::UniPc {
        value["solver_order"] = json!(uni_pc.order);
        value["solver_type"] = json!(uni_pc.scale);
        value["predict_x0"] = json!(uni_pc.predict_x0);
        value["lower_order_final"] = json!(uni_pc.lower_order_final);
        value["disable_corrector"] = json!(uni_pc.disable_corrector);
    }
    if matches!(kind, SamplerKind::DpmSolver | SamplerKind::DpmSolverSde) {
        value["solver_order"] = json!(solver.order);
        value["solver_type"] = json!(solver.solver_type);
        value["lower_order_final"] = json!(solver.lower_order_final);
        value["euler_at_final"] = json!(solver.euler_at_final);
        value["lambda_min_clipped"] = json!(lambda_min.is_finite().then_some(lambda_min));
    }
    value
}
