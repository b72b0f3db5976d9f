//! A program outside of the workspace that only samples: a step of `cargo xtask ci`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use super::tree::{NOT_FOR_SAMPLING, unwanted};
use crate::cargo::root;

/// The program: a model directory and a number of steps, the pictures' bytes on standard output.
const PROGRAM: &str = "\
use std::io::Write;

use burn::backend::Flex;
use sfumato_model::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or(\"a model directory is needed\")?;
    let model = Model::<Flex>::open(dir)?;
    let samples = model.sample(16).steps(20).seed(7).draw()?;
    for i in 0..samples.len() {
        std::io::stdout().write_all(&samples.to_rgb8(i)?)?;
    }
    Ok(())
}
";

/// Makes the program in a folder of its own, checks what it depends on, builds it, and draws with a model of the tests.
pub(super) fn check_outside() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("sfumato-outside-{}", std::process::id()));
    let result = check_in(&folder);
    // It can be made again at any time.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn check_in(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("src")).with_context(|| format!("cannot create {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name} in {}", folder.display()))
    };
    write("Cargo.toml", &manifest(root())?)?;
    write("src/main.rs", PROGRAM)?;
    // The same versions as in the workspace.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;

    let tree = output(cargo(folder, &["tree", "--edges", "normal,build", "--prefix", "depth"]))?;
    let tree = String::from_utf8(tree).context("cargo tree printed something that is not text")?;
    let found = unwanted(&tree);
    ensure!(found.is_empty(), "a program that only samples depends on {}", found.join(", "));
    println!("-- {} lines of cargo tree, no {} of ours", tree.lines().count(), NOT_FOR_SAMPLING.join(", no "));

    let status = cargo(folder, &["build", "--release"]).status().context("cannot run cargo")?;
    ensure!(status.success(), "the program outside of the workspace does not build: {status}");
    let program = target().join("release/outside");
    let model = root().join("crates/model/tests/golden/cifar");
    let mut draw = Command::new(&program);
    draw.arg(&model).current_dir(folder);
    let bytes = output(draw)?;
    ensure!(bytes.len() == 16 * 16 * 16 * 3, "16 pictures of 16x16 pixels have {} bytes", bytes.len());
    let levels: BTreeSet<u8> = bytes.iter().copied().collect();
    ensure!(levels.len() > 100, "the pictures have {} levels", levels.len());
    println!("-- 16 pictures drawn");
    Ok(())
}

/// The program's manifest: the crates by their paths, Burn and its backend as the workspace has them.
fn manifest(workspace_root: &Path) -> anyhow::Result<String> {
    let workspace = std::fs::read_to_string(workspace_root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let burn = workspace.lines().find_map(|line| line.strip_prefix("burn = { version = \"")?.split_once('"'));
    let (burn, _) = burn.context("Cargo.toml of the workspace has no line `burn = { version = …`")?;
    let path = |name: &str| workspace_root.join("crates").join(name).display().to_string().replace('\\', "/");
    Ok(format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         sfumato-model = {{ path = \"{}\", default-features = false }}\n\
         sfumato-kernels = {{ path = \"{}\", default-features = false, features = [\"flex\"] }}\n\
         burn = {{ version = \"{burn}\", default-features = false, features = [\"std\", \"flex\"] }}\n\n[workspace]\n\n\
         # It draws a few small pictures once: what compiles soonest is done soonest.\n\
         [profile.release]\nopt-level = 0\n\n[profile.release.package.sfumato-cpu]\nopt-level = 3\n",
        path("model"),
        path("kernels"),
    ))
}

/// Where the program is built: kept from one check to the next, apart from the workspace's own builds, whose features are others.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("outside")
}

/// Cargo on the program's manifest.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", target());
    command
}

/// What a program prints, if it succeeds.
fn output(mut command: Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
