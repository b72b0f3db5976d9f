//! That the device computes what the CPU computes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::super::evidence::{arrays::Array, scores::Scores};
use super::device::Device;
use super::page::Finding;
use crate::cargo::cargo;

/// Largest relative difference of losses between the device and the CPU. TF32, which devices may use for products of f32, makes about 1e-3.
const LOSSES: f64 = 1e-2;
/// Largest relative difference of losses between a run and the same run resumed: the device may add in another order.
const RESUMED: f64 = 1e-3;
/// Largest difference of samples in [-1, 1] between the device and the CPU: five levels of 8-bit pictures.
const SAMPLES: f64 = 0.04;
/// Seconds in which a second start has to reach the end of its first step.
const SECOND_START: f64 = 10.0;
/// Steps of the runs.
const STEPS: u64 = 8;

/// What the program compares before every training.
pub(super) fn self_check(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let (_, said) = device.train("self-check", 1, true)?;
    let line = said.stderr.lines().find_map(|line| line.trim().strip_prefix("self-check "));
    Ok(vec![Finding::passed("loss and gradient norm of four examples", line.context("no self-check was made")?)])
}

/// Every operation and all its gradients, against f64.
pub(super) fn operations(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let backend = &device.options.backend;
    let features = format!("sfumato-cli/ndarray,sfumato-cli/{backend}");
    let mut command = cargo("test");
    command.args(["--release", "--package", "sfumato-kernels", "--package", "sfumato-cli", "--features", &features]);
    command.args(["--test", "gradients"]);
    command.env("SFUMATO_DEVICE_TESTS", if device.options.quick { "some" } else { "all" });
    command.args(["--", "--nocapture"]);
    let output = command.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last: Vec<&str> = said.lines().filter(|line| line.contains("panicked") || line.contains("error")).collect();
        bail!("an operation differs: {}\n{}", output.status, last.join("\n"));
    }
    ensure!(!said.contains("NOT RUN on"), "the tests found no {backend} device");
    let result = said.lines().find(|line| line.starts_with("test result: ok")).context("no test ran")?;
    let which = if device.options.quick { "operations of the sizes of a network" } else { "all operations" };
    Ok(vec![Finding::passed(&format!("{which} and their gradients, against f64"), result)])
}

/// The first steps of a run, beside those of the CPU.
pub(super) fn training(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let (there, _) = device.train("there", STEPS, true)?;
    let (here, _) = device.train("here", STEPS, false)?;
    let apart = apart(&losses(&there)?, &losses(&here)?)?;
    let what = format!("losses of {STEPS} steps beside the CPU's, largest relative difference");
    Ok(vec![Finding::at_most(&what, apart, LOSSES)])
}

/// A run that was stopped half-way, beside one that was not.
pub(super) fn resume(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let (whole, _) = device.train("whole", STEPS, true)?;
    let (halves, _) = device.train("halves", STEPS / 2, true)?;
    device.sfumato(&format!("train --resume runs/halves --steps {STEPS}"), true)?;
    let (a, b) = (losses(&whole)?, losses(&halves)?);
    let what = format!("losses of a run resumed after {} of {STEPS} steps, largest relative difference", STEPS / 2);
    let same = a == b;
    Ok(vec![
        Finding::at_most(&what, apart(&a, &b)?, RESUMED),
        Finding::told("the same bits", if same { "yes" } else { "no" }),
    ])
}

/// Samples of one model and one noise.
pub(super) fn sampling(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let (_, _) = device.train("model", STEPS, true)?;
    let draw = |name: &str, on_device: bool| -> anyhow::Result<Vec<f32>> {
        let out = format!("samples/{name}");
        let path = device.folder.join(&out);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let arguments = format!("sample --model runs/model/model --num 4 --steps 10 --sampler ddim --out {out}");
        device.sfumato(&arguments, on_device)?;
        Ok(Array::read_f32(&path.join("samples.npy"))?.values())
    };
    let (there, here) = (draw("there", true)?, draw("here", false)?);
    ensure!(there.len() == here.len(), "{} numbers on the device and {} on the CPU", there.len(), here.len());
    let apart = there.iter().zip(&here).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    let what = "four samples by 10 steps of ddim in [-1, 1], largest difference from the CPU's";
    Ok(vec![Finding::at_most(what, apart, SAMPLES)])
}

/// A first start, which compiles and tunes, and a second one, which should do neither.
pub(super) fn start(device: &Device) -> anyhow::Result<Vec<Finding>> {
    device.forget_kernels()?;
    let (_, first) = device.train("first-start", 1, true)?;
    let kept = names(&device.cache());
    ensure!(!kept.is_empty(), "no kernels were kept in {}", device.cache().display());
    let (_, second) = device.train("second-start", 1, true)?;
    let again = names(&device.cache());
    let added: Vec<String> = again.difference(&kept).map(|path| path.display().to_string()).collect();
    ensure!(added.is_empty(), "the second start compiled or tuned anew: {}", added.join(", "));
    let second_start = "seconds of the second: start, self-check, one step, checkpoint and a sample";
    let second_start = if device.options.quick {
        Finding::told(second_start, &format!("{:.1}", second.seconds))
    } else {
        Finding::at_most(second_start, second.seconds, SECOND_START)
    };
    Ok(vec![Finding::told("seconds of the first start", &format!("{:.1}", first.seconds)), second_start])
}

/// The losses of a run's steps.
fn losses(run: &Path) -> anyhow::Result<Vec<f64>> {
    Scores::lines(&run.join("metrics.jsonl"))?.iter().map(|line| line.number("/loss")).collect()
}

/// The largest relative difference of two rows of numbers.
fn apart(a: &[f64], b: &[f64]) -> anyhow::Result<f64> {
    ensure!(a.len() == b.len() && !a.is_empty(), "{} losses beside {}", a.len(), b.len());
    // A number that is none is not small.
    let apart = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { ((a - b) / b).abs() };
    Ok(a.iter().zip(b).map(apart).fold(0.0, |most, x| if most.is_nan() || x <= most { most } else { x }))
}

/// The files below a folder.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(names(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_difference_counts_and_nan_is_no_small_one() {
        assert_eq!(apart(&[1.0, 2.0], &[1.0, 4.0]).unwrap(), 0.5);
        assert!(apart(&[1.0, f64::NAN, 1.0], &[1.0, 1.0, 1.0]).unwrap().is_nan());
        assert!(apart(&[1.0], &[]).is_err() && apart(&[], &[]).is_err());
    }
}
