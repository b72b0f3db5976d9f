//! How fast training and evaluation are, here and in PyTorch on the same device.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::bench::measured::{median, read};
use super::super::python;
use super::device::Device;
use super::page::Finding;

/// Ways to run PyTorch: products in TF32, as those of CubeCL are, or by autocast in bf16.
const VARIANTS: [&str; 5] = ["tf32", "tf32_channels_last", "tf32_compile", "bf16_channels_last", "bf16_compile"];

/// Largest relative difference of the first loss: TF32 makes about 1e-3.
const SAME: f64 = 1e-2;

/// A network, the images in a batch, and how many calls are timed at once.
#[derive(Clone, Copy, Debug)]
struct Load {
    network: &'static str,
    batch: usize,
    /// Height and width, where they are not the network's own.
    size: Option<usize>,
    calls: usize,
}

/// `cifar10` is the network of ddpm-cifar10-32, which was trained with batches of 128.
const LOADS: [Load; 3] = [
    Load { network: "small", batch: 64, size: None, calls: 50 },
    Load { network: "cifar10", batch: 16, size: None, calls: 20 },
    Load { network: "cifar10", batch: 128, size: None, calls: 10 },
];
const QUICK: [Load; 1] = [Load { network: "small", batch: 2, size: Some(8), calls: 2 }];

impl Load {
    fn name(&self, work: &str) -> String {
        let work = if work == "train" { "training" } else { "evaluation" };
        format!("{work}, {} in batches of {}", self.network, self.batch)
    }

    /// The words of the program that measures.
    fn words(&self) -> Vec<String> {
        let size = self.size.map(|size| ["--size".to_owned(), size.to_string()]);
        let batch = ["--batch".to_owned(), self.batch.to_string()];
        batch.into_iter().chain(size.into_iter().flatten()).collect()
    }
}

pub(super) fn run(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let peer = device.options.peer.then(|| python::interpreter(".venv-peer", "requirements.txt")).transpose()?;
    let loads = if device.options.quick { &QUICK[..] } else { &LOADS[..] };
    let mut found = Vec::new();
    for load in loads {
        let dir = device.folder.join(load.network);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        read(Command::new(&device.measured).args(["prepare", load.network]).arg(&dir).args(load.words()))?;
        let check = read(Command::new(&device.measured).args(["check", load.network]).args(load.words()))?;
        for work in ["train", "evaluate"] {
            let name = load.name(work);
            let ours = ours(device, load, work, &check)?;
            found.push(Finding::rate(&name, "here", load.batch as f64 / ours));
            for variant in peer.iter().flat_map(|_| VARIANTS) {
                let python = peer.as_deref().context("there is a peer")?;
                let theirs = theirs(python, &dir, load, work, variant)?;
                found.push(Finding::rate(&name, &format!("PyTorch, {variant}"), load.batch as f64 / theirs));
                found.push(Finding::told(&format!("{name}: times PyTorch's speed, {variant}"), &ratio(theirs / ours)));
            }
        }
    }
    Ok(found)
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// Seconds of a call here. Training is the same as on the CPU.
fn ours(
    device: &Device,
    load: &Load,
    work: &str,
    check: &super::super::bench::measured::Output,
) -> anyhow::Result<f64> {
    let mut command = Command::new(&device.measured);
    command.args(["device", &device.options.backend, work, load.network]).args(load.words());
    command.args(["--warm-up", "3", "--repetitions", &load.calls.to_string()]).env("SFUMATO_CACHE", device.cache());
    let output = read(&mut command)?;
    if work == "train" {
        for number in ["loss", "grad_norm"] {
            let (there, here) = (output.number(number)?, check.number(number)?);
            let apart = ((there - here) / here).abs();
            ensure!(apart <= SAME, "the first {number} of {} is {there} there and {here} on the CPU", load.network);
        }
    }
    Ok(median(&output.numbers("seconds")))
}

/// Seconds of a call in PyTorch.
fn theirs(python: &Path, dir: &Path, load: &Load, work: &str, variant: &str) -> anyhow::Result<f64> {
    let mut command = Command::new(python);
    command.arg(python::folder().join("torch_device_peer.py")).arg(work).arg(dir).arg(variant);
    python::forget_settings(&mut command);
    Ok(median(&read(command.arg(load.calls.to_string()))?.numbers("seconds")))
}
