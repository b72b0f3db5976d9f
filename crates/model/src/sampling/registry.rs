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
    sampler::{Ancestral, Ddim, DdimSteps, DpmSolver, DpmSolverOptions, Euler, Heun, Leaps, Stepper},
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
    /// Euler's method on the probability-flow ODE.
    Euler,
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
    /// Classes of schedulers in diffusers that stand for it.
    pub classes: &'static [&'static str],
}

const TABLE: [SamplerInfo; 5] = [
    SamplerInfo {
        kind: SamplerKind::Ddpm,
        name: "ddpm",
        about: "Ancestral sampling (Ho et al. 2020): fresh noise at every step",
        usual_steps: 50,
        fewest_steps: 10,
        visits_levels: false,
        classes: &["DDPMScheduler", "DDPMParallelScheduler"],
    },
    SamplerInfo {
        kind: SamplerKind::Ddim,
        name: "ddim",
        about: "Song et al. (2021): between ddpm (--eta 1) and a deterministic map (--eta 0)",
        usual_steps: 50,
        fewest_steps: 20,
        visits_levels: false,
        classes: &["DDIMScheduler", "DDIMParallelScheduler"],
    },
    SamplerInfo {
        kind: SamplerKind::DpmSolver,
        name: "dpm-solver++",
        about: "Lu et al. (2022), multistep, orders 1 to 3: for models that need few steps",
        usual_steps: 20,
        fewest_steps: 10,
        visits_levels: true,
        classes: &["DPMSolverMultistepScheduler"],
    },
    SamplerInfo {
        kind: SamplerKind::Euler,
        name: "euler",
        about: "Euler's method on the probability-flow ODE (Karras et al. 2022)",
        usual_steps: 20,
        fewest_steps: 20,
        visits_levels: true,
        classes: &["EulerDiscreteScheduler"],
    },
    SamplerInfo {
        kind: SamplerKind::Heun,
        name: "heun",
        about: "Heun's method on the same: two evaluations per step",
        usual_steps: 20,
        fewest_steps: 4,
        visits_levels: true,
        classes: &["HeunDiscreteScheduler"],
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
    Euler(NoiseLevels),
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
        SamplerKind::DpmSolver => {
            let usual = scheduler.sampling.solver;
            let options = DpmSolverOptions { order: choice.order.unwrap_or(usual.order), ..usual };
            (whole()?, Walk::DpmSolver { levels: dpm_solver_levels(schedule, count, &levels)?, options })
        }
        SamplerKind::Euler => (whole()?, Walk::Euler(euler_levels(schedule, count, &levels)?)),
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
            Walk::Euler(levels) => Box::new(Euler::new(chain, levels)),
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

    /// Draws of noise that it takes: `x_T`, and one for each of its steps up to the last that adds noise.
    pub fn draws(&self) -> usize {
        match &self.walk {
            Walk::Ddpm => self.chain.steps(),
            Walk::Ddim { options, leaps } => leaps.draws(options.eta),
            Walk::DpmSolver { .. } | Walk::Euler(_) | Walk::Heun(_) => 1,
        }
    }

    /// The noise levels that it visits, if it does not visit steps of the chain.
    pub fn levels(&self) -> Option<&NoiseLevels> {
        match &self.walk {
            Walk::Ddpm | Walk::Ddim { .. } => None,
            Walk::DpmSolver { levels, .. } | Walk::Euler(levels) | Walk::Heun(levels) => Some(levels),
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

    /// The options of DPM-Solver++, if it is that.
    pub fn dpm_solver(&self) -> Option<DpmSolverOptions> {
        match self.walk {
            Walk::DpmSolver { options, .. } => Some(options),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_is_in_the_table_once_under_its_name_in_files() {
        use SamplerKind::{Ddim, Ddpm, DpmSolver, Euler, Heun};
        for kind in [Ddpm, Ddim, DpmSolver, Euler, Heun] {
            assert_eq!(SamplerKind::all().filter(|info| info.kind == kind).count(), 1);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            for class in kind.info().classes {
                assert_eq!(SamplerKind::of_class(class), Some(kind));
            }
        }
    }
}
