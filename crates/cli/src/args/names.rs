//! Names on the command line: in any case, by the names that diffusers and k-diffusion use for the same thing, and with the nearest
//! one where there is none.

use std::ffi::OsStr;

use clap::{
    Arg, Command,
    builder::{PossibleValue, TypedValueParser},
    error::{Error, ErrorKind},
};
use sfumato_model::fitted::{Placement, UnknownPlacement};
use sfumato_model::sampling::{SamplerInfo, SamplerKind};
use sfumato_schedule::nearest;

/// The samplers of other programs that do not exist here, by their beginnings, and what to use in their place; the longest beginning
/// that fits is taken. Letters and digits alone count, and `+` is `p`.
const OTHERS: [(&str, &str); 39] = [
    ("dpmpp", "did you mean `dpm-solver++`?"),
    ("dpmpp2m", "did you mean `dpm-solver++`, whose --order is 2 by default?"),
    ("dpmpp3m", "did you mean `dpm-solver++ --order 3`?"),
    ("dpmpp2mkarras", "did you mean `dpm-solver++ --karras`?"),
    ("dpmpp3mkarras", "did you mean `dpm-solver++ --order 3 --karras`?"),
    ("dpmpp2msdekarras", "did you mean `dpm-solver++-sde --karras`?"),
    ("dpmpp3msde", "did you mean `dpm-solver++-sde --order 3`?"),
    ("dpmppsde", SDE),
    ("dpmsolversde", SDE),
    ("sasolver", "it does not exist here; `dpm-solver++-sde` is the multistep solver that adds noise"),
    ("dpmpp2s", SINGLESTEP),
    ("dpmpp2sancestral", SDE),
    ("dpmsolversinglestep", SINGLESTEP),
    ("dpmsolvermultistepinverse", INVERSE),
    ("ddiminverse", INVERSE),
    ("dpmsolver", "did you mean `dpm-solver++`?"),
    ("dpmsolverppsdekarras", "did you mean `dpm-solver++-sde --karras`?"),
    ("dpmfast", SINGLESTEP),
    ("dpmadaptive", SINGLESTEP),
    ("dpm2", TWO),
    ("kdpm2", TWO),
    ("dpm2a", TWO_NOISY),
    ("kdpm2a", TWO_NOISY),
    ("heunpp", "did you mean `heun`?"),
    ("heunkarras", "did you mean `heun --karras`?"),
    ("eulerkarras", "did you mean `euler --karras`?"),
    ("eulera", "did you mean `euler-ancestral`?"),
    ("euleraka", "did you mean `euler-ancestral --karras`?"),
    ("eulerancestralkarras", "did you mean `euler-ancestral --karras`?"),
    ("ancestral", "did you mean `ddpm`?"),
    ("lms", MULTISTEP),
    ("plms", MULTISTEP),
    ("pndm", MULTISTEP),
    ("ipndm", MULTISTEP),
    ("deis", MULTISTEP),
    ("unipc", "did you mean `unipc`?"),
    ("lcm", DISTILLED),
    ("tcd", DISTILLED),
    ("turbo", DISTILLED),
];
const SDE: &str = "it takes two evaluations a step, and does not exist here; `dpm-solver++-sde` is the multistep solver of the same SDE";
const SINGLESTEP: &str = "it does not exist here; `dpm-solver++` is the multistep solver of the same family";
const TWO: &str = "it does not exist here; `heun` also takes two evaluations a step";
const TWO_NOISY: &str =
    "it does not exist here; `euler-ancestral` adds the same noise, and `heun` takes two evaluations a step";
const MULTISTEP: &str = "it does not exist here; `dpm-solver++` and `unipc` are multistep solvers that do";
const DISTILLED: &str = "it is for distilled models, which are not supported";
const INVERSE: &str = "it goes from data to noise, which is not supported";

/// A name without case and separators, in which `+` is `p`.
fn plain_name(name: &str) -> String {
    name.to_lowercase().replace("plus", "+").replace('+', "p").chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The sampler of a name, or what to say about it.
fn sampler(name: &str) -> Result<SamplerKind, String> {
    let plain = plain_name(name);
    let plain = plain.strip_prefix("sample").unwrap_or(&plain);
    let plain = plain.strip_suffix("scheduler").unwrap_or(plain);
    let plain = plain.strip_prefix('k').filter(|rest| rest.len() > 2 && plain != "kdpm2").unwrap_or(plain);
    let is_it = |info: &SamplerInfo| {
        plain_name(info.name) == plain
            || info.classes.iter().any(|class| plain_name(class).strip_suffix("scheduler") == Some(plain))
            || info.aliases.iter().any(|alias| plain_name(alias) == plain)
    };
    Ok(match SamplerKind::all().find(is_it) {
        Some(info) => info.kind,
        None => {
            let other = OTHERS.iter().filter(|(begins, _)| plain.starts_with(begins));
            let names: Vec<&str> = SamplerKind::all().map(|info| info.name).collect();
            let hint = match other.max_by_key(|(begins, _)| begins.len()) {
                Some((_, hint)) => format!("; {hint}"),
                None => nearest(name, &names).map_or_else(String::new, |name| format!("; did you mean `{name}`?")),
            };
            return Err(format!("no sampler is called `{name}`{hint} (expected one of {})", names.join(", ")));
        }
    })
}

/// Parses the name of a sampler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Samplers;

impl TypedValueParser for Samplers {
    type Value = SamplerKind;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<SamplerKind, Error> {
        sampler(&value.to_string_lossy()).map_err(|message| wrong(command, message))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(SamplerKind::all().map(|info| PossibleValue::new(info.name).help(info.about))))
    }
}

/// Parses the name of a spacing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spacings;

impl TypedValueParser for Spacings {
    type Value = Placement;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Placement, Error> {
        let name = value.to_string_lossy();
        name.parse().map_err(|error: UnknownPlacement| {
            let hint = match name.to_lowercase().as_str() {
                "karras" => "; Karras levels are asked for by --karras",
                "uniform" | "even" | "linear" => "; evenly spread steps are `linspace`",
                _ => "",
            };
            wrong(command, format!("{error}{hint}"))
        })
    }
}

fn wrong(command: &Command, message: String) -> Error {
    Error::raw(ErrorKind::ValueValidation, message).format(&mut command.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_go_by_several_names() {
        for (names, expected) in [
            (&["ddpm", "DDPM", "DDPMScheduler"][..], SamplerKind::Ddpm),
            (&["ddim", "DDIM", "DDIMScheduler", "k_ddim"], SamplerKind::Ddim),
            (
                &["dpm-solver++", "DPM-Solver++", "dpmsolver++", "dpm_solver_plus_plus", "DPMSolverMultistepScheduler"],
                SamplerKind::DpmSolver,
            ),
            (&["euler", "k_euler", "sample_euler", "EulerDiscreteScheduler"], SamplerKind::Euler),
            (
                &[
                    "euler-ancestral",
                    "euler_ancestral",
                    "euler_a",
                    "Euler a",
                    "k_euler_a",
                    "sample_euler_ancestral",
                    "EulerAncestralDiscreteScheduler",
                ],
                SamplerKind::EulerAncestral,
            ),
            (
                &[
                    "dpm-solver++-sde",
                    "DPM-Solver++-SDE",
                    "sde-dpmsolver++",
                    "dpmpp_2m_sde",
                    "DPM++ 2M SDE",
                    "sample_dpmpp_2m_sde",
                ],
                SamplerKind::DpmSolverSde,
            ),
            (&["unipc", "UniPC", "uni_pc", "UniPCMultistepScheduler"], SamplerKind::UniPc),
            (&["Heun", "k_heun", "HeunDiscreteScheduler"], SamplerKind::Heun),
        ] {
            for name in names {
                assert_eq!(sampler(name), Ok(expected), "{name}");
            }
        }
    }

    #[test]
    fn other_names_get_an_answer_that_fits() {
        for (name, hint) in [
            ("dpm++", "did you mean `dpm-solver++`?"),
            ("dpm", "did you mean `dpm-solver++`?"),
            ("dpm-solver", "did you mean `dpm-solver++`?"),
            ("dpmpp_2m", "`dpm-solver++`, whose --order is 2"),
            ("DPM++ 2M", "`dpm-solver++`, whose --order is 2"),
            ("DPM++ 2M Karras", "`dpm-solver++ --karras`"),
            ("DPM++ 2M SDE Karras", "`dpm-solver++-sde --karras`"),
            ("dpmpp_3m_sde", "`dpm-solver++-sde --order 3`"),
            ("dpmpp_sde", "two evaluations a step"),
            ("DPMSolverSDEScheduler", "`dpm-solver++-sde`"),
            ("dpmpp_2s_ancestral", "`dpm-solver++-sde`"),
            ("Euler a Karras", "`euler-ancestral --karras`"),
            ("euler_ancestral_karras", "`euler-ancestral --karras`"),
            ("euler_ancestrel", "did you mean `euler-ancestral`?"),
            ("euler_karras", "`euler --karras`"),
            ("KDPM2DiscreteScheduler", "`heun`"),
            ("KDPM2AncestralDiscreteScheduler", "`euler-ancestral`"),
            ("plms", "`dpm-solver++`"),
            ("PNDMScheduler", "`dpm-solver++`"),
            ("uni_pc_bh2", "did you mean `unipc`?"),
            ("LCMScheduler", "distilled"),
            ("DDIMInverseScheduler", "from data to noise"),
            ("ddimm", "did you mean `ddim`?"),
            ("ddmp", "did you mean `ddpm`?"),
            ("huen", "did you mean `heun`?"),
        ] {
            let said = sampler(name).unwrap_err();
            assert!(
                said.contains(hint) && said.contains("expected one of ddpm, ddim, dpm-solver++, dpm-solver++-sde, unipc, euler, euler-ancestral, heun"),
                "{said}"
            );
        }
        let said = sampler("magic").unwrap_err();
        assert!(!said.contains("did you mean"), "{said}");
        sampler("").unwrap_err();
        sampler("k").unwrap_err();
    }
}
