//! `cargo xtask ci`: everything that has to pass, cheapest first.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::long_files::check_lengths;
use super::one_build::{check_one_build, check_one_build_with_mpi};
use super::outside::check_outside;
use super::tree::check_tree;
use super::unsafe_code::check_unsafe;
use super::unused::check_unused;
use super::{Usage, evidence, option_value, serve_check, test, torture};
use crate::cargo::cargo;

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const STEPS: [Step; 17] = [
    Step { name: "fmt", about: "the code is formatted", run: fmt },
    Step { name: "tree", about: "the dependency tree is as decided", run: check_tree },
    Step { name: "unsafe", about: "one crate has unsafe code, all others have none", run: check_unsafe },
    Step { name: "lengths", about: "no file is too long without a reason", run: check_lengths },
    Step { name: "unused", about: "every dependency is used", run: check_unused },
    Step { name: "package", about: "every crate can be packaged for a registry", run: package },
    Step { name: "clippy", about: "no warning in any target", run: clippy },
    Step { name: "doc", about: "the documentation builds, every link leads somewhere", run: doc },
    Step { name: "builds", about: "the program and the tests share one build of Burn", run: check_one_build },
    Step { name: "test", about: "all tests and documentation examples pass", run: tests },
    Step {
        name: "torture",
        about: "runs that are killed, cut and crashed lose nothing (the short form)",
        run: torture,
    },
    Step {
        name: "evidence",
        about: "the pages say what is kept beside them, and experiments run in small",
        run: evidence::check_short,
    },
    Step {
        name: "outside",
        about: "a program outside of the workspace that only samples builds, depends on nothing more, and draws",
        run: check_outside,
    },
    Step { name: "features", about: "the program builds with no, one and several backends", run: features },
    Step {
        name: "backends",
        about: "the other backends do what flex does, or say why they cannot; all gradients on both CPU backends",
        run: backends,
    },
    Step {
        name: "page",
        about: "the page of `serve` works in a real browser; passed over where there is none",
        run: page,
    },
    Step {
        name: "mpi",
        about: "several ranks have the bits of one, and end together; passed over where there is no mpirun",
        run: mpi,
    },
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let selection = Selection::of(arguments)?;
    if selection.list {
        STEPS.iter().for_each(|step| println!("{:<10}{}", step.name, step.about));
        return Ok(ExitCode::SUCCESS);
    }
    let mut summary = Vec::new();
    for step in STEPS.iter().filter(|step| selection.has(step.name)) {
        println!("== {}: {}", step.name, step.about);
        let start = Instant::now();
        let result = (step.run)();
        let time = seconds(start.elapsed());
        match &result {
            Ok(()) => println!("== {}: passed in {time}\n", step.name),
            Err(error) => println!("== {}: FAILED after {time}: {error:#}\n", step.name),
        }
        summary.push((step.name, result.is_ok(), time));
    }
    for (name, passed, time) in &summary {
        println!("{:<10}{:<8}{time:>12}", name, if *passed { "passed" } else { "FAILED" });
    }
    let passed = summary.iter().all(|(_, passed, _)| *passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Which steps to run.
#[derive(Debug, Default)]
struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
    list: bool,
}

impl Selection {
    fn of(arguments: &[String]) -> anyhow::Result<Selection> {
        let mut selection = Selection::default();
        let mut rest = arguments.iter().cloned();
        while let Some(argument) = rest.next() {
            if let Some(step) = option_value(&argument, "--only", &mut rest)? {
                selection.only.push(known(step)?);
            } else if let Some(step) = option_value(&argument, "--skip", &mut rest)? {
                selection.skip.push(known(step)?);
            } else if argument == "--list" {
                selection.list = true;
            } else {
                return Err(
                    Usage(format!("unexpected argument `{argument}`, expected --only, --skip or --list")).into()
                );
            }
        }
        Ok(selection)
    }

    fn has(&self, step: &str) -> bool {
        let listed = |steps: &[String]| steps.iter().any(|name| name == step);
        (self.only.is_empty() || listed(&self.only)) && !listed(&self.skip)
    }
}

fn known(step: String) -> anyhow::Result<String> {
    if STEPS.iter().any(|known| known.name == step) {
        return Ok(step);
    }
    let names = STEPS.map(|step| step.name).join(", ");
    Err(Usage(format!("unknown step `{step}`, expected one of: {names}")).into())
}

fn fmt() -> anyhow::Result<()> {
    pass(cargo("fmt").args(["--all", "--", "--check"]))
}

/// What a registry asks for: versions, metadata, no file from outside of a crate's folder. The packages are not built: the
/// other steps build the same sources.
fn package() -> anyhow::Result<()> {
    pass(cargo("package").args(["--workspace", "--no-verify", "--allow-dirty", "--exclude", "xtask"]))
}

fn clippy() -> anyhow::Result<()> {
    pass(cargo("clippy").args(["--release", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn doc() -> anyhow::Result<()> {
    // Broken links are warnings of rustdoc.
    pass(cargo("doc").args(["--release", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests() -> anyhow::Result<()> {
    pass(&mut test::command(&[]))
}

/// Systems without signals and streams as Unix has them are passed over.
fn torture() -> anyhow::Result<()> {
    if cfg!(unix) { torture::check_short() } else { Ok(()) }
}

/// Backends that are only type-checked here: their kernels are compiled at run time, by a driver that need not be there. `flex` alone is what
/// the other steps build, and all CPU backends with others what `backends` builds.
fn features() -> anyhow::Result<()> {
    for features in ["", "ndarray", "cuda,vulkan"] {
        let mut command = cargo("check");
        command.args(["--release", "--package", "sfumato-cli", "--no-default-features", "--features", features]);
        pass(&mut command)?;
    }
    Ok(())
}

/// What only accelerators need, and most of their build. The tests below are of what it computes, not of how soon, so that it is compiled with
/// few optimisations. Not without: CubeCL's threads would need more stack than they have.
const OF_ACCELERATORS: [&str; 22] = [
    "burn-cubecl",
    "burn-cubecl-fusion",
    "burn-cuda",
    "burn-fusion",
    "burn-wgpu",
    "cubecl-core",
    "cubecl-cpp",
    "cubecl-cuda",
    "cubecl-ir",
    "cubecl-opt",
    "cubecl-runtime",
    "cubecl-spirv",
    "cubecl-std",
    "cubecl-wgpu",
    "cubek-attention",
    "cubek-convolution",
    "cubek-matmul",
    "cubek-reduce",
    "cudarc",
    "naga",
    "wgpu-core",
    "wgpu-hal",
];

/// Packages whose generic code is compiled once for each backend. What takes time when it runs is in the kernels of other crates, so that these
/// are compiled without optimisations: 42 s for the test `gradients` instead of 4 minutes, on two cores, and it takes as long as before.
const OF_BACKENDS: [&str; 2] = ["sfumato-cli", "sfumato-kernels"];

/// The option of cargo for so few optimisations of a package.
fn optimised(package: &str, level: u8) -> [String; 2] {
    ["--config".to_owned(), format!("profile.release.package.{package}.opt-level={level}")]
}

/// Tests what needs several backends: every operation's gradients on both CPU backends, and operations and
/// the program on the backends that are off by default, on whatever devices this machine has.
fn backends() -> anyhow::Result<()> {
    let mut command = cargo("test");
    command.args(["--release", "--package", "sfumato-kernels", "--package", "sfumato-cli"]);
    command.args(["--features", "sfumato-cli/ndarray,sfumato-cli/cuda,sfumato-cli/vulkan"]);
    command.args(OF_ACCELERATORS.iter().flat_map(|package| optimised(package, 1)));
    command.args(OF_BACKENDS.iter().flat_map(|package| optimised(package, 0)));
    command.args(["--test", "gradients", "--test", "tensors", "--test", "backends", "--", "--nocapture"]);
    // Fewer kernels are tried for each operation: a software rasteriser takes its time for each.
    command.env("CUBECL_AUTOTUNE_LEVEL", "minimal");
    pass(&mut command)
}

/// Uses the page of `serve` in Chromium.
fn page() -> anyhow::Result<()> {
    ensure!(serve_check::check(None, None)?, "the page of `serve` does not do what it should");
    Ok(())
}

/// Builds the program with MPI and runs what needs it.
fn mpi() -> anyhow::Result<()> {
    if Command::new("mpirun").arg("--version").output().is_err() {
        println!("-- skipped: there is no mpirun; Debian has it in openmpi-bin, libopenmpi-dev and libclang-dev");
        return Ok(());
    }
    check_one_build_with_mpi()?;
    let options = ["--release", "--workspace", "--features", "sfumato-cli/mpi"];
    pass(cargo("clippy").args(options).args(["--all-targets", "--", "-D", "warnings"]))?;
    // The program is compiled once more for the feature, which takes a fifth of the time so; the tests take a third more.
    pass(cargo("test").args(options).args(optimised("sfumato-cli", 0)).args([
        "--test",
        "ranks",
        "--",
        "--test-threads",
        "1",
    ]))
}

/// Shows a command, runs it, and fails if it does.
fn pass(command: &mut Command) -> anyhow::Result<()> {
    // Without the manifest's path, which is for running it in another folder.
    let words: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let shown = [&words[..1], &words[3..]].concat().join(" ");
    println!("-- cargo {shown}");
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {shown}: {status}");
    }
    Ok(())
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(arguments: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let selection = Selection::of(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())?;
        Ok(STEPS.iter().map(|step| step.name).filter(|name| selection.has(name)).collect())
    }

    #[test]
    fn steps_are_chosen_and_left_out() {
        assert_eq!(selected(&[]).unwrap().len(), STEPS.len());
        assert_eq!(selected(&["--only", "fmt", "--only=doc"]).unwrap(), ["fmt", "doc"]);
        assert_eq!(
            selected(&["--skip", "test"]).unwrap(),
            [
                "fmt", "tree", "unsafe", "lengths", "unused", "package", "clippy", "doc", "builds", "torture",
                "evidence", "outside", "features", "backends", "page", "mpi"
            ]
        );
        assert!(selected(&["--only", "fmt", "--skip", "fmt"]).unwrap().is_empty());
    }

    #[test]
    fn unknown_steps_and_arguments_are_usage_errors() {
        for arguments in [&["--only", "tests"][..], &["fmt"], &["--skip"]] {
            assert!(selected(arguments).unwrap_err().is::<Usage>());
        }
        assert!(selected(&["--only", "tests"]).unwrap_err().to_string().contains("clippy, doc, builds, test"));
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(seconds(Duration::from_millis(12_345)), "12.3 s");
        assert_eq!(seconds(Duration::from_secs(184)), "3 min 04 s");
    }
}
