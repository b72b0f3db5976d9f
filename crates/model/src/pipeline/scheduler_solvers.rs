//! The keys of `scheduler_config.json` that are options of the multistep solvers.

use serde_json::{Map, Value, json};
use sfumato_nets::ConfigError;
use sfumato_process::sampler::{DpmSolverOptions, SolverEquation, SolverOrder, SolverType, UniPcOptions, UniPcScale};

use super::keys::{Keys, unsupported};

/// `algorithm_type` of the two equations.
const ALGORITHMS: [(&str, SolverEquation); 2] =
    [("dpmsolver++", SolverEquation::Ode), ("sde-dpmsolver++", SolverEquation::Sde)];

/// The options of a DPMSolverMultistepScheduler.
pub(super) fn dpm_solver(keys: &Keys) -> Result<DpmSolverOptions, ConfigError> {
    let DpmSolverOptions { lower_order_final, euler_at_final, .. } = DpmSolverOptions::default();
    let algorithm = keys.get("algorithm_type", "a string", ALGORITHMS[0].0.to_owned())?;
    let Some(&(_, equation)) = ALGORITHMS.iter().find(|(name, _)| *name == algorithm) else {
        let [(ode, _), (sde, _)] = ALGORITHMS;
        return Err(unsupported("algorithm_type", &algorithm.into(), &format!("{ode} or {sde}")));
    };
    let name = keys.get("solver_type", "a string", "midpoint".to_owned())?;
    let solver_type = match name.as_str() {
        // The other names are those of other solvers, which diffusers reads as this one.
        "midpoint" | "logrho" | "bh1" | "bh2" => SolverType::Midpoint,
        "heun" => SolverType::Heun,
        _ => return Err(unsupported("solver_type", &name.into(), "midpoint or heun")),
    };
    let order = order(keys)?;
    if equation == SolverEquation::Sde && order == SolverOrder::Third {
        let expected = "1 or 2 with algorithm_type sde-dpmsolver++: diffusers' third order of it has a wrong sign";
        return Err(unsupported("solver_order", &3.into(), expected));
    }
    Ok(DpmSolverOptions {
        equation,
        order,
        solver_type,
        lower_order_final: keys.flag("lower_order_final", lower_order_final)?,
        euler_at_final: keys.flag("euler_at_final", euler_at_final)?,
    })
}

/// Writes the options of a DPMSolverMultistepScheduler.
pub(super) fn write_dpm_solver(options: DpmSolverOptions, map: &mut Map<String, Value>) {
    let DpmSolverOptions { equation, order, solver_type, lower_order_final, euler_at_final } = options;
    let algorithm = ALGORITHMS.iter().find(|(_, other)| *other == equation).map(|(name, _)| *name);
    map.insert("algorithm_type".into(), json!(algorithm));
    map.insert("solver_order".into(), json!(order));
    let solver_type = match solver_type {
        SolverType::Midpoint => "midpoint",
        SolverType::Heun => "heun",
    };
    map.insert("solver_type".into(), json!(solver_type));
    map.insert("lower_order_final".into(), json!(lower_order_final));
    map.insert("euler_at_final".into(), json!(euler_at_final));
}

/// The options of a UniPCMultistepScheduler.
pub(super) fn uni_pc(keys: &Keys) -> Result<UniPcOptions, ConfigError> {
    let UniPcOptions { predict_x0, lower_order_final, .. } = UniPcOptions::default();
    let name = keys.get("solver_type", "a string", "bh2".to_owned())?;
    let scale = match name.as_str() {
        "bh1" => UniPcScale::Bh1,
        // The other names are those of other solvers, which diffusers reads as this one.
        "bh2" | "midpoint" | "heun" | "logrho" => UniPcScale::Bh2,
        _ => return Err(unsupported("solver_type", &name.into(), "bh1 or bh2")),
    };
    // Another scheduler as the predictor.
    keys.only_null("solver_p")?;
    Ok(UniPcOptions {
        order: order(keys)?,
        scale,
        predict_x0: keys.flag("predict_x0", predict_x0)?,
        lower_order_final: keys.flag("lower_order_final", lower_order_final)?,
        disable_corrector: keys.get("disable_corrector", "a list of steps, counted from 0", Vec::new())?,
    })
}

/// Writes the options of a UniPCMultistepScheduler.
pub(super) fn write_uni_pc(options: &UniPcOptions, map: &mut Map<String, Value>) {
    let UniPcOptions { order, scale, predict_x0, lower_order_final, disable_corrector } = options;
    map.insert("solver_order".into(), json!(order));
    map.insert("solver_type".into(), json!(scale.name()));
    map.insert("predict_x0".into(), json!(predict_x0));
    map.insert("lower_order_final".into(), json!(lower_order_final));
    map.insert("disable_corrector".into(), json!(disable_corrector));
}

fn order(keys: &Keys) -> Result<SolverOrder, ConfigError> {
    keys.get("solver_order", "1, 2 or 3", SolverOrder::Second)
}
