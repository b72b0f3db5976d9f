//! The samplers by name: the one place that knows all of them.
//!
//! A new sampler is a [`Stepper`] in the crate `sfumato-process`, a line of [`SamplerKind`] and of the table here, and its arm in
//! `resolve` and in `stepper`. Command lines, configurations and reports follow the table.

use std::fmt;

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use sfumato_process::{
    Chain, NoiseLevel, NoiseLevels,
    levels::Sigmas,
    sampler::{
        Ancestral, Ddim, DdimSteps, DpmSolver, DpmSolverOptions, Euler, EulerAncestral, Heun, Leaps, SolverEquation,
        SolverOrder, Stepper, UniPc, UniPcOptions,
    },
};
use sfumato_schedule::NoiseSchedule;

use super::{
    SamplerChoice, SamplerError,
    levels::{dpm_solver_levels, euler_levels},
};
use crate::pipeline::Scheduler;

/// A sampler by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// Ancestral sampling.
    Ddpm,
    /// DDIM.
    Ddim,
    /// DPM-Solver++.
    #[serde(rename = "dpm-solver++")]
    DpmSolver,
    /// DPM-Solver++ on the reverse SDE.
    #[serde(rename = "dpm-solver++-sde")]
    DpmSolverSde,
    /// UniPC.
    #[serde(rename = "unipc")]
    UniPc,
    /// Euler's method on the probability-flow ODE.
    Euler,
    /// Euler's method with fresh noise in every step.
    EulerAncestral,
    /// Heun's method on the probability-flow ODE.
    Heun,
}

/// What there is to know about a sampler before it is used.
#[derive(Clone, Copy, Debug)]
pub struct SamplerInfo {
    /// The sampler.
    pub kind: SamplerKind,
    /// Its name on command lines.
    pub name: &'static str,
    /// What it is, in a few words, with the source.
    pub about: &'static str,
    /// Steps if nothing is said.
    pub usual_steps: usize,
    /// Steps below which the pictures of the default preset's model are blurred or full of holes; `docs/guides/sample.md` has the
    /// measurement.
    pub fewest_steps: usize,
    /// Whether it visits noise levels, which Karras et al. may choose, and not steps of the chain.
    pub visits_levels: bool,
    /// Whether it has an order that can be chosen.
    pub has_orders: bool,
    /// Classes of schedulers in diffusers that stand for it.
    pub classes: &'static [&'static str],
    /// Its names in k-diffusion and the programs around it, where they say nothing about its options.
    pub aliases: &'static [&'static str],
}

const TABLE: [SamplerInfo; 8] = [
    SamplerInfo {
        kind: SamplerKind::Ddpm,
        name: "ddpm",
        about: "Ancestral sampling (Ho et al. 2020): fresh noise at every step",
        usual_steps: 50,
        fewest_steps: 10,
        visits_levels: false,
        has_orders: false,
        classes: &["DDPMScheduler", "DDPMParallelScheduler"],
        aliases: &[],
    },
    SamplerInfo {
        kind: SamplerKind::Ddim,
        name: "ddim",
        about: "Song et al. (2021): between ddpm (--eta 1) and a deterministic map (--eta 0)",
        usual_steps: 50,
        fewest_steps: 20,
        visits_levels: false,
        has_orders: false,
        classes: &["DDIMScheduler", "DDIMParallelScheduler"],
        aliases: &[],
    },
    SamplerInfo {
        kind: SamplerKind::DpmSolver,
        name: "dpm-solver++",
        about: "Lu et al. (2022), multistep, orders 1 to 3: for models that need few steps",
        usual_steps: 20,
        fewest_steps: 10,
        visits_levels: true,
        has_orders: true,
        classes: &["DPMSolverMultistepScheduler"],
        aliases: &[],
    },
    SamplerInfo {
        kind: SamplerKind::DpmSolverSde,
        name: "dpm-solver++-sde",
        about: "The same for the reverse SDE: fresh noise at every step",
        usual_steps: 20,
        fewest_steps: 10,
        visits_levels: true,
        has_orders: true,
        // DPMSolverMultistepScheduler with the algorithm_type sde-dpmsolver++.
        classes: &[],
        aliases: &["sde-dpmsolver++", "dpmpp_2m_sde"],
    },
    SamplerInfo {
        kind: SamplerKind::UniPc,
        name: "unipc",
        about: "Zhao et al. (2023), predictor and corrector, orders 1 to 3: for models that need few steps",
        usual_steps: 20,
        fewest_steps: 10,
        visits_levels: true,
        has_orders: true,
        classes: &["UniPCMultistepScheduler"],
        aliases: &["uni_pc"],
    },
    SamplerInfo {
        kind: SamplerKind::Euler,
        name: "euler",
        about: "Euler's method on the probability-flow ODE (Karras et al. 2022)",
        usual_steps: 20,
        fewest_steps: 20,
        visits_levels: true,
        has_orders: false,
        classes: &["EulerDiscreteScheduler"],
        aliases: &[],
    },
    SamplerInfo {
        kind: SamplerKind::EulerAncestral,
        name: "euler-ancestral",
        about: "Euler steps with fresh noise (Song et al. 2021, Eq. 47): the chain of ddpm over noise levels",
        usual_steps: 20,
        fewest_steps: 10,
        visits_levels: true,
        has_orders: false,
        classes: &["EulerAncestralDiscreteScheduler"],
        aliases: &["euler_a"],
    },
    SamplerInfo {
        kind: SamplerKind::Heun,
        name: "heun",
        about: "Heun's method on the same: two evaluations per step",
        usual_steps: 20,
        fewest_steps: 4,
        visits_levels: true,
        has_orders: false,
        classes: &["HeunDiscreteScheduler"],
        aliases: &[],
    },
];

impl SamplerKind {
    /// All samplers, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = SamplerInfo> {
        TABLE.into_iter()
    }

    /// What there is to know about it.
    pub fn info(self) -> SamplerInfo {
        *TABLE.iter().find(|info| info.kind == self).expect("every sampler is in the table, as a test says")
    }

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The sampler that a class of diffusers stands for.
    pub fn of_class(class: &str) -> Option<Self> {
        TABLE.iter().find(|info| info.classes.contains(&class)).map(|info| info.kind)
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A sampler for a model, over the steps that it takes. [`SamplerChoice::resolve`] makes one.
#[derive(Clone, Debug)]
pub struct Sampler {
    chain: Chain,
    walk: Walk,
}

/// What a sampler needs besides the chain.
#[derive(Clone, Debug)]
enum Walk {
    Ddpm,
    Ddim { options: Ddim, leaps: Leaps },
    DpmSolver { levels: NoiseLevels, options: DpmSolverOptions },
    UniPc { levels: NoiseLevels, options: UniPcOptions },
    Euler(NoiseLevels),
    EulerAncestral(NoiseLevels),
    Heun(NoiseLevels),
}

/// The sampler that `choice` describes, over `count` steps.
pub(super) fn resolve(
    choice: &SamplerChoice,
    count: usize,
    scheduler: &Scheduler,
    schedule: &NoiseSchedule,
) -> Result<Sampler, SamplerError> {
    let whole = || scheduler.chain(schedule, &(1..=schedule.steps()).collect::<Vec<_>>());
    let levels = choice.level_options(scheduler);
    let (chain, walk) = match choice.kind {
        SamplerKind::Ddpm | SamplerKind::Ddim => {
            return resolve_over(choice, &choice.steps_of(count, scheduler, schedule)?, scheduler, schedule);
        }
        SamplerKind::DpmSolver | SamplerKind::DpmSolverSde => {
            let usual = scheduler.sampling.solver;
            let is_sde = choice.kind == SamplerKind::DpmSolverSde;
            let equation = if is_sde { SolverEquation::Sde } else { SolverEquation::Ode };
            let options = DpmSolverOptions { equation, order: choice.order.unwrap_or(usual.order), ..usual };
            (whole()?, Walk::DpmSolver { levels: dpm_solver_levels(schedule, count, &levels)?, options })
        }
        SamplerKind::UniPc => {
            let usual = scheduler.sampling.uni_pc.clone();
            let options = UniPcOptions { order: choice.order.unwrap_or(usual.order), ..usual };
            (whole()?, Walk::UniPc { levels: dpm_solver_levels(schedule, count, &levels)?, options })
        }
        SamplerKind::Euler => (whole()?, Walk::Euler(euler_levels(schedule, count, &levels)?)),
        SamplerKind::EulerAncestral => (whole()?, Walk::EulerAncestral(euler_levels(schedule, count, &levels)?)),
        SamplerKind::Heun => (whole()?, Walk::Heun(euler_levels(schedule, count, &levels)?)),
    };
    Ok(Sampler { chain, walk })
}

/// The sampler that `choice` describes over these steps of the chain: ddim, or else ddpm.
pub(super) fn resolve_over(
    choice: &SamplerChoice,
    steps: &[usize],
    scheduler: &Scheduler,
    schedule: &NoiseSchedule,
) -> Result<Sampler, SamplerError> {
    let chain = scheduler.chain(schedule, steps)?;
    let walk = match choice.kind {
        SamplerKind::Ddim => {
            let (options, leaps) = choice.ddim(scheduler, &chain);
            Walk::Ddim { options, leaps }
        }
        _ => Walk::Ddpm,
    };
    Ok(Sampler { chain, walk })
}

impl Sampler {
    /// What takes the steps, for whichever backend.
    pub fn stepper<B: Backend, const D: usize>(&self) -> Box<dyn Stepper<B, D> + '_> {
        let chain = &self.chain;
        match &self.walk {
            Walk::Ddpm => Box::new(Ancestral::new(chain)),
            Walk::Ddim { options, leaps } => Box::new(DdimSteps::new(chain, *options).with_leaps(leaps.clone())),
            Walk::DpmSolver { levels, options } => Box::new(DpmSolver::new(chain, levels, *options)),
            Walk::UniPc { levels, options } => Box::new(UniPc::new(chain, levels, options.clone())),
            Walk::Euler(levels) => Box::new(Euler::new(chain, levels)),
            Walk::EulerAncestral(levels) => Box::new(EulerAncestral::new(chain, levels)),
            Walk::Heun(levels) => Box::new(Heun::new(chain, levels)),
        }
    }

    /// The reverse chain that it is for.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The same sampler for a chain that has been changed in its variance or its clipping.
    pub fn with_chain(self, change: impl FnOnce(Chain) -> Chain) -> Self {
        Self { chain: change(self.chain), walk: self.walk }
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.levels().map_or(self.chain.steps(), NoiseLevels::steps)
    }

    /// The time in `1.0..=T` that the network is told at the start of each step, from noise to data.
    pub fn times(&self) -> Vec<f64> {
        match self.levels() {
            Some(levels) => levels.levels().iter().map(|level| level.t).collect(),
            None => self.chain.original_steps().iter().rev().map(|&t| t as f64).collect(),
        }
    }

    /// Draws of noise that it takes: `x_T`, and one for each of its steps up to the last that adds noise.
    pub fn draws(&self) -> usize {
        match &self.walk {
            Walk::Ddpm => self.chain.steps(),
            Walk::Ddim { options, leaps } => leaps.draws(options.eta),
            Walk::DpmSolver { levels, options } if options.equation == SolverEquation::Sde => levels.noisy_draws(),
            Walk::EulerAncestral(levels) => levels.noisy_draws(),
            Walk::DpmSolver { .. } | Walk::UniPc { .. } | Walk::Euler(_) | Walk::Heun(_) => 1,
        }
    }

    /// The noise levels that it visits, if it does not visit steps of the chain.
    pub fn levels(&self) -> Option<&NoiseLevels> {
        match &self.walk {
            Walk::Ddpm | Walk::Ddim { .. } => None,
            Walk::DpmSolver { levels, .. } | Walk::UniPc { levels, .. } => Some(levels),
            Walk::Euler(levels) | Walk::EulerAncestral(levels) | Walk::Heun(levels) => Some(levels),
        }
    }

    /// The level of the state before each step.
    pub fn levels_before(&self) -> Vec<NoiseLevel> {
        if let Some(levels) = self.levels() {
            return levels.levels().to_vec();
        }
        let sigmas = Sigmas::of(self.chain.trained_schedule());
        self.chain.original_steps().iter().rev().map(|&t| sigmas.level(t as f64)).collect()
    }

    /// Where the steps of DDIM lead, if it is that.
    pub fn leaps(&self) -> Option<&Leaps> {
        match &self.walk {
            Walk::Ddim { leaps, .. } => Some(leaps),
            _ => None,
        }
    }

    /// The options of DDIM, if it is that.
    pub fn ddim(&self) -> Option<Ddim> {
        match self.walk {
            Walk::Ddim { options, .. } => Some(options),
            _ => None,
        }
    }

    /// The options of DPM-Solver++, if it is that, for whichever equation.
    pub fn dpm_solver(&self) -> Option<DpmSolverOptions> {
        match self.walk {
            Walk::DpmSolver { options, .. } => Some(options),
            _ => None,
        }
    }

    /// The options of UniPC, if it is that.
    pub fn uni_pc(&self) -> Option<&UniPcOptions> {
        match &self.walk {
            Walk::UniPc { options, .. } => Some(options),
            _ => None,
        }
    }

    /// The order, if it is a solver that has several.
    pub fn order(&self) -> Option<SolverOrder> {
        self.dpm_solver().map(|options| options.order).or_else(|| self.uni_pc().map(|options| options.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_is_in_the_table_once_under_its_name_in_files() {
        use SamplerKind::{Ddim, Ddpm, DpmSolver, DpmSolverSde, Euler, EulerAncestral, Heun, UniPc};
        for kind in [Ddpm, Ddim, DpmSolver, DpmSolverSde, UniPc, Euler, EulerAncestral, Heun] {
            assert_eq!(SamplerKind::all().filter(|info| info.kind == kind).count(), 1);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            for class in kind.info().classes {
                assert_eq!(SamplerKind::of_class(class), Some(kind));
            }
        }
    }
}
