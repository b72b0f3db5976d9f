//! Classes of schedulers: which are here, which are read for their noise schedule, and which are of another process.

use crate::Spacing;
use crate::sampling::SamplerKind;

/// Classes that work with the noise schedules of DDPM, but whose samplers do not exist here, and the sampler that is nearest.
const OTHER: [(&str, SamplerKind); 12] = [
    ("PNDMScheduler", SamplerKind::Ddim),
    ("DDIMInverseScheduler", SamplerKind::Ddim),
    ("RePaintScheduler", SamplerKind::Ddpm),
    ("UnCLIPScheduler", SamplerKind::Ddpm),
    ("DPMSolverSinglestepScheduler", SamplerKind::DpmSolver),
    ("DPMSolverMultistepInverseScheduler", SamplerKind::DpmSolver),
    ("DPMSolverSDEScheduler", SamplerKind::DpmSolverSde),
    ("DEISMultistepScheduler", SamplerKind::DpmSolver),
    ("SASolverScheduler", SamplerKind::DpmSolverSde),
    ("LMSDiscreteScheduler", SamplerKind::Euler),
    ("KDPM2DiscreteScheduler", SamplerKind::Heun),
    ("KDPM2AncestralDiscreteScheduler", SamplerKind::EulerAncestral),
];

/// Beginnings of classes of other processes, and what those are.
const ELSEWHERE: [(&str, &str); 15] = [
    ("ScoreSdeVe", "the variance-exploding SDE"),
    ("ScoreSdeVp", "a continuous SDE"),
    ("KarrasVe", "the variance-exploding process of Karras et al."),
    ("EDM", "the process of EDM"),
    ("CosineDPMSolver", "the process of EDM"),
    ("FlowMatch", "flow matching"),
    ("CMStochastic", "consistency models"),
    ("ConsistencyDecoder", "consistency models"),
    ("LCM", "consistency models"),
    ("TCD", "consistency models"),
    ("VQDiffusion", "discrete diffusion"),
    ("Amused", "masked tokens"),
    ("DDPMWuerstchen", "a continuous chain"),
    ("IPNDM", "a continuous chain"),
    ("CogVideoX", "a process for videos"),
];

/// Today's name of a class: those for Flax and of the first release are others of the same.
pub(super) fn today(class: &str) -> &str {
    let class = class.strip_prefix("Flax").unwrap_or(class);
    if class == "GaussianDDPMScheduler" { "DDPMScheduler" } else { class }
}

/// Whether two names are of one class.
pub(super) fn same(one: &str, other: &str) -> bool {
    today(one) == today(other)
}

/// The sampler of a class, if it exists here.
pub(super) fn sampler(class: &str) -> Option<SamplerKind> {
    SamplerKind::of_class(class)
}

/// The sampler that comes nearest to one that does not exist here.
pub(super) fn nearest(class: &str) -> SamplerKind {
    find(&OTHER, class).unwrap_or(SamplerKind::Ddpm)
}

/// What a class assumes where its configuration says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClassDefaults {
    pub(super) beta_start: f64,
    pub(super) beta_end: f64,
    pub(super) beta_schedule: &'static str,
    pub(super) spacing: Spacing,
    pub(super) clip_sample: bool,
}

/// The defaults of diffusers 0.35.2, from the signature of each class.
pub(super) fn defaults(class: &str) -> ClassDefaults {
    let latent = ["Heun", "KDPM2", "DPMSolverSDE"].iter().any(|start| class.starts_with(start));
    let (beta_start, beta_end) = if latent { (0.00085, 0.012) } else { (1e-4, 0.02) };
    let chain = ["DDPM", "DDIM", "RePaint", "UnCLIP"].iter().any(|start| class.starts_with(start));
    ClassDefaults {
        beta_start,
        beta_end,
        beta_schedule: if class == "UnCLIPScheduler" { "squaredcos_cap_v2" } else { "linear" },
        spacing: if chain || class == "PNDMScheduler" { Spacing::Leading } else { Spacing::Linspace },
        clip_sample: chain,
    }
}

/// Why a class is not read; none if it is.
pub(super) fn refusal(class: &str) -> Option<String> {
    if sampler(class).or_else(|| find(&OTHER, class)).is_some() {
        return None;
    }
    let process = ELSEWHERE.iter().find(|(start, _)| class.starts_with(start));
    let process = process.map(|(_, process)| format!("; this one is for {process}")).unwrap_or_default();
    Some(format!(
        "a scheduler for DDPM's noise schedules (DDPM, DDIM, DPMSolverMultistep, UniPC, Euler, Heun, …){process}"
    ))
}

fn find(list: &[(&str, SamplerKind)], class: &str) -> Option<SamplerKind> {
    list.iter().find(|(name, _)| *name == class).map(|&(_, kind)| kind)
}
