//! `cargo xtask gpu`: everything that is to be shown on an accelerator, in one command.

mod checks;
mod device;
mod page;
mod profile;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::{Usage, option_value};
use crate::cargo::root;
use device::Device;
use page::{Finding, Report};

const HELP: &str = "\
Usage: cargo xtask gpu [OPTIONS]

Compares a device with the CPU, and measures how fast it is: self-check, every operation with its gradients, training, resume, sampling,
first steps with and without kept kernels, speed of training and evaluation, and which kernels take the time. Writes gpu.json and gpu.md. The device is the
first one; CUDA_VISIBLE_DEVICES=1 makes another NVIDIA GPU the first.

  --backend NAME   cuda, wgpu, vulkan, metal or rocm [default: cuda]
  --peer torch     PyTorch on the same device as well (cuda); SFUMATO_PEER_PYTHON names a Python that has torch and diffusers
  --only PART      one of self-check, operations, training, resume, sampling, start, speed, profile; may be given several times
  --programs DIR   take sfumato and sfumato-bench from there, with the backend compiled in, instead of building them
  --quick          tiny networks and few calls: for a software rasteriser, whose times say nothing
  --out DIR        where the two files go [default: docs/results, which is the book; with --quick target/gpu]
";

/// The file that is written for programs.
pub(super) const JSON: &str = "gpu.json";

/// Where work is done, and where the files of a quick look go.
const FOLDER: &str = "target/gpu";

/// The parts, in their order.
const PARTS: [(&str, Part); 8] = [
    ("self-check", checks::self_check),
    ("operations", checks::operations),
    ("training", checks::training),
    ("resume", checks::resume),
    ("sampling", checks::sampling),
    ("start", checks::start),
    ("speed", speed::run),
    ("profile", profile::run),
];

/// Measures something; what was found.
type Part = fn(&Device) -> anyhow::Result<Vec<Finding>>;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Options {
    backend: String,
    peer: bool,
    only: Vec<String>,
    quick: bool,
    programs: Option<PathBuf>,
    out: Option<PathBuf>,
}

impl Options {
    /// The options; none if help is asked for.
    fn of(arguments: &[String]) -> anyhow::Result<Option<Options>> {
        let mut options = Options { backend: "cuda".into(), ..Options::default() };
        let mut rest = arguments.iter().cloned();
        while let Some(argument) = rest.next() {
            if let Some(backend) = option_value(&argument, "--backend", &mut rest)? {
                const KNOWN: [&str; 5] = ["cuda", "wgpu", "vulkan", "metal", "rocm"];
                if !KNOWN.contains(&backend.as_str()) {
                    let known = KNOWN.join(", ");
                    return Err(Usage(format!("--backend {backend}: expected one of {known}")).into());
                }
                options.backend = backend;
            } else if let Some(peer) = option_value(&argument, "--peer", &mut rest)? {
                if peer != "torch" {
                    return Err(Usage(format!("unknown peer `{peer}`, expected torch")).into());
                }
                options.peer = true;
            } else if let Some(part) = option_value(&argument, "--only", &mut rest)? {
                if !PARTS.iter().any(|(name, _)| *name == part) {
                    let parts = PARTS.map(|(name, _)| name).join(", ");
                    return Err(Usage(format!("--only {part}: expected one of {parts}")).into());
                }
                options.only.push(part);
            } else if let Some(programs) = option_value(&argument, "--programs", &mut rest)? {
                options.programs = Some(programs.into());
            } else if let Some(out) = option_value(&argument, "--out", &mut rest)? {
                options.out = Some(out.into());
            } else {
                match argument.as_str() {
                    "--quick" => options.quick = true,
                    "--help" | "-h" => return Ok(None),
                    _ => return Err(Usage(format!("unexpected argument `{argument}`\n\n{HELP}")).into()),
                }
            }
        }
        if options.peer && options.backend != "cuda" {
            return Err(Usage("--peer torch needs --backend cuda".into()).into());
        }
        Ok(Some(options))
    }

    fn out(&self) -> PathBuf {
        let default = || root().join(if self.quick { FOLDER } else { "docs/results" });
        self.out.clone().unwrap_or_else(default)
    }
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let Some(options) = Options::of(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let device = Device::set_up(&options, &root().join(FOLDER))?;
    let mut report = Report::new(&device, arguments);
    for (name, part) in PARTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        eprintln!("== {name}");
        let start = Instant::now();
        let found = part(&device);
        report.add(name, found, start.elapsed());
    }
    let passed = report.passed();
    report.write(&options.out())?;
    print!("{}", report.page());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> anyhow::Result<Option<Options>> {
        Options::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_quick_look_is_not_put_into_the_book() {
        let of = |arguments: &[&str]| options(arguments).unwrap().unwrap();
        assert!(of(&[]).out().ends_with("docs/results") && of(&[]).backend == "cuda");
        assert!(of(&["--quick", "--backend", "vulkan"]).out().ends_with("gpu"));
        assert_eq!(of(&["--out", "x", "--quick"]).out(), PathBuf::from("x"));
        assert_eq!(of(&["--only=start", "--only", "speed"]).only, ["start", "speed"]);
        assert!(options(&["--help"]).unwrap().is_none());
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for arguments in [
            &["--backend", "flex"][..],
            &["--backend", "vulkan", "--peer", "torch"],
            &["--peer", "jax"],
            &["--only", "tests"],
            &["--gpu", "1"],
            &["speed"],
        ] {
            assert!(options(arguments).unwrap_err().is::<Usage>(), "{arguments:?}");
        }
    }
}
