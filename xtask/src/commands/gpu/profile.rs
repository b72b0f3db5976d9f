//! Which kernels take a training step's time, by CubeCL's own profile.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::bench::measured::read;
use super::device::Device;
use super::page::Finding;

/// Kernels that are named.
const NAMED: usize = 15;

pub(super) fn run(device: &Device) -> anyhow::Result<Vec<Finding>> {
    let log = device.folder.join("profile.log");
    if log.exists() {
        fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
    }
    let mut command = Command::new(&device.measured);
    command.args(["device", &device.options.backend, "train"]);
    let load: &[&str] = if device.options.quick {
        &["small", "--batch", "2", "--size", "8", "--repetitions", "1"]
    } else {
        &["cifar10", "--batch", "128", "--repetitions", "3"]
    };
    command.args(load).args(["--warm-up", "3"]).env("SFUMATO_CACHE", device.cache());
    // A file for all of CubeCL's logs, and of those only the profile.
    command.env("CUBECL_DEBUG_LOG", &log).env("CUBECL_DEBUG_OPTION", "profile");
    read(&mut command)?;
    let text = fs::read_to_string(&log).with_context(|| format!("CubeCL wrote no {}", log.display()))?;
    let kernels = kernels(&text);
    ensure!(!kernels.is_empty(), "{} names no kernel", log.display());
    let launches: u64 = kernels.iter().map(|kernel| kernel.launches).sum();
    let total: f64 = kernels.iter().map(|kernel| kernel.seconds).sum();
    let share = |kernel: &Kernel| {
        let percent = 100.0 * kernel.seconds / total;
        Finding::told(&kernel.name, &format!("{percent:.1} % of {total:.2} s, {} launches", kernel.launches))
    };
    let all = Finding::told("kernels launched, with those of the warm-up", &launches.to_string());
    Ok(std::iter::once(all).chain(kernels.iter().take(NAMED).map(share)).collect())
}

/// A kernel's row of the profile.
#[derive(Clone, Debug, PartialEq)]
struct Kernel {
    name: String,
    seconds: f64,
    launches: u64,
}

/// The launches of a log, a line each, added up by name, the longest first.
fn kernels(log: &str) -> Vec<Kernel> {
    let mut found: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for line in log.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [time, name, _] = cells[..] else { continue };
        let Some(seconds) = seconds(time) else { continue };
        let (sum, launches) = found.entry(name).or_default();
        *sum += seconds;
        *launches += 1;
    }
    let kernel = |(name, (seconds, launches)): (&str, (f64, u64))| Kernel { name: name.to_owned(), seconds, launches };
    let mut kernels: Vec<Kernel> = found.into_iter().map(kernel).collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    kernels
}

/// A duration as Rust writes it.
fn seconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|number| number * factor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_are_added_up_and_other_lines_passed_over() {
        let log = "compiling x\n| 1.5ms | Matmul | WgpuRuntime\n|56.5µs   | Cat | WgpuRuntime\n| 2.5ms  | Matmul | WgpuRuntime\n\
                   | Name | Duration | Ratio |\nfn f(a: | b | c\n";
        let found = kernels(log);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].name.as_str(), found[0].launches), ("Matmul", 2));
        assert!((found[0].seconds - 4e-3).abs() < 1e-12 && (found[1].seconds - 56.5e-6).abs() < 1e-12);
    }
}
