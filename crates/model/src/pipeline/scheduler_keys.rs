//! Keys that one class of scheduler has left for another: `Class.from_config(other.config)` keeps what it does not know.

use serde_json::Value;

/// Options of a solver's own steps, in diffusers 0.35.2: they say nothing about the model, so that another class has nothing to miss.
const OF_SOLVERS: [&str; 16] = [
    "algorithm_type",
    "corrector_order",
    "disable_corrector",
    "eta",
    "euler_at_final",
    "lambda_min_clipped",
    "lower_order_final",
    "predict_x0",
    "predictor_order",
    "sigma_max",
    "sigma_min",
    "solver_order",
    "solver_p",
    "solver_type",
    "tau_func",
    "time_shift_type",
];

/// Keys that some classes have, and with which they would draw other samples than those that pass over them.
const OF_OTHERS: [&str; 13] = [
    "clip_sample",
    "final_sigmas_type",
    "interpolation_type",
    "rescale_betas_zero_snr",
    "thresholding",
    "timestep_type",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_flow_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
    "variance_type",
];

/// Whether a key is one of another class's steps alone.
pub(super) fn is_of_solvers(key: &str) -> bool {
    OF_SOLVERS.contains(&key)
}

/// Whether a key is known to other classes than the one that it was found with.
pub(super) fn is_of_others(key: &str) -> bool {
    OF_OTHERS.contains(&key)
}

/// Whether a key without a reader asks for nothing: it has no value, or it is of other classes, and what it says is what this class
/// does anyway or what diffusers' class passes over too.
pub(super) fn is_idle(key: &str, value: &Value) -> bool {
    match key {
        "skip_prk_steps" | "set_alpha_to_one" | "clip_sample_range" => true,
        "dynamic_thresholding_ratio" | "sample_max_value" | "flow_shift" => true,
        "variance_type" => value.as_str().is_none_or(|name| name.starts_with("fixed")),
        "clip_sample"
        | "thresholding"
        | "rescale_betas_zero_snr"
        | "use_karras_sigmas"
        | "use_exponential_sigmas"
        | "use_beta_sigmas"
        | "use_dynamic_shifting"
        | "use_flow_sigmas"
        | "use_lu_lambdas" => value == false || value.is_null(),
        "interpolation_type" => value == "linear",
        "timestep_type" => value == "discrete",
        "final_sigmas_type" => value == "zero",
        _ => value.is_null(),
    }
}
