//! What may stand in the dependency tree: a step of `cargo xtask ci`.

use anyhow::{Context, bail, ensure};

use crate::cargo::cargo;

/// Packages whose build scripts download compilers or toolkits of hundreds of megabytes.
const DOWNLOADERS: [&str; 7] =
    ["burn-cpu", "cubecl-cpu", "tracel-llvm", "tracel-mlir", "tracel-tblgen", "burn-tch", "torch-sys"];

/// Features of Burn that bring them in, or that pull in code which nothing here uses.
const FEATURES: [&str; 2] = ["cpu", "distributed"];

/// Crates that must be usable without Burn.
const WITHOUT_BURN: [&str; 2] = ["sfumato-schedule", "sfumato-cpu"];

/// Packages that a program which only samples does without: no HTTP, no archives, no TLS, no decoders of pictures, no TOML. Burn itself
/// brings `toml`, for the configuration of its compilers; none of ours may.
pub(super) const NOT_FOR_SAMPLING: [&str; 5] = ["ureq", "tar", "rustls", "image", "toml"];
/// Burn's package that reads TOML.
const READS_TOML: &str = "cubecl-common";

/// Fails if a crate that is to do without it depends on Burn, or if anything with every feature on depends on a downloader.
pub(super) fn check_tree() -> anyhow::Result<()> {
    let mut lines = 0;
    for package in WITHOUT_BURN {
        let own = tree(&["--package", package, "--all-features", "--edges", "normal,build"])?;
        let burn = offenders(&own, |line| line.starts_with("burn"));
        ensure!(burn.is_empty(), "{package} depends on {}", burn.join(", "));
        lines += own.lines().count();
    }
    let sampling =
        ["--package", "sfumato-model", "--no-default-features", "--edges", "normal,build", "--prefix", "depth"];
    let sampling = listing(&sampling)?;
    let found = unwanted(&sampling);
    ensure!(found.is_empty(), "sfumato-model without default features depends on {}", found.join(", "));
    lines += sampling.lines().count();
    let all = tree(&["--workspace", "--all-features"])?;
    let forbidden = offenders(&all, is_forbidden);
    ensure!(forbidden.is_empty(), "the workspace depends on {}", forbidden.join(", "));
    println!("-- {} lines of cargo tree checked", lines + all.lines().count());
    Ok(())
}

/// Whether a line `PACKAGE vVERSION|FEATURE,FEATURE` must not be there.
fn is_forbidden(line: &str) -> bool {
    let (package, features) = line.split_once('|').unwrap_or((line, ""));
    let features = features.trim_end_matches(" (*)");
    DOWNLOADERS.iter().any(|name| package.starts_with(name))
        || (package.starts_with("burn") && features.split(',').any(|feature| FEATURES.contains(&feature)))
}

/// What a tree with depths (`--prefix depth`) has of [`NOT_FOR_SAMPLING`], but for the TOML of Burn.
pub(super) fn unwanted(tree: &str) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for line in tree.lines() {
        let name = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let depth: usize = line[..line.len() - name.len()].parse().unwrap_or(0);
        let name = name.split(' ').next().unwrap_or_default();
        path.truncate(depth);
        let parent = path.last().copied().unwrap_or_default();
        if NOT_FOR_SAMPLING.contains(&name) && (name, parent) != ("toml", READS_TOML) {
            found.push(format!("{name} (through {parent})"));
        }
        path.push(name);
    }
    found.sort();
    found.dedup();
    found
}

/// The lines that `is_one` holds for, each once, without the mark of a repetition.
fn offenders(tree: &str, is_one: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> =
        tree.lines().filter(|line| is_one(line)).map(|line| line.trim_end_matches(" (*)").to_owned()).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// Every package of the tree with the features it is built with. (Cargo's own listing of features, `--edges features`,
/// leaves out those that are turned on by a feature of ours.)
fn tree(arguments: &[&str]) -> anyhow::Result<String> {
    listing(&[arguments, &["--prefix", "none", "--format", "{p}|{f}"]].concat())
}

/// What `cargo tree` prints.
fn listing(arguments: &[&str]) -> anyhow::Result<String> {
    let output = cargo("tree").args(arguments).output().context("cannot run cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo tree printed something that is not text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offending_lines_are_found_once_and_innocent_ones_pass() {
        let tree = "sfumato-train v0.1.0|\nburn v0.21.0|std,autodiff\nburn-core v0.21.0|cpu,std\n\
                    tracel-llvm-bundler v20.1.4-7|\nburn-core v0.21.0|cpu,std (*)\nburn v0.21.0|std,distributed (*)\n\
                    num_cpus v1.0|\ncpufeatures v0.2.17|\ncubecl-cpu v0.10.0|default\nserde v1.0|cpu\ntracel-ash v0.38|\n";
        let expected = [
            "burn v0.21.0|std,distributed",
            "burn-core v0.21.0|cpu,std",
            "cubecl-cpu v0.10.0|default",
            "tracel-llvm-bundler v20.1.4-7|",
        ];
        assert_eq!(offenders(tree, is_forbidden), expected);
    }

    #[test]
    fn what_a_program_that_samples_does_without_is_found_under_its_parent() {
        let tree = "0sfumato-model v0.1.0\n1burn v0.21.0\n2cubecl-common v0.10.0\n3toml v1.2.1\n1image v0.25.10\n2png v0.18\n1serde v1\n\
                    2toml v1.2.1 (*)\n1imageproc v1\n";
        assert_eq!(unwanted(tree), ["image (through sfumato-model)", "toml (through serde)"]);
    }

    #[test]
    fn the_listing_names_the_features_that_ours_turn_on() {
        let all = tree(&["--workspace", "--all-features"]).unwrap();
        let burn = all.lines().find(|line| line.starts_with("burn v")).unwrap();
        let (_, features) = burn.split_once('|').unwrap();
        assert!(features.split(',').any(|feature| feature == "cuda"), "{burn}");
    }
}
