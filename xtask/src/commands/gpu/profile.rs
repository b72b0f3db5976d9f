//! Which kernels take a training step's time, by CubeCL's own profile.

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
    ensure!(!kernels.is_empty(), "{} has no table of kernels", log.display());
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

/// The rows of all tables in a log, added up by name, the longest first.
fn kernels(log: &str) -> Vec<Kernel> {
    let mut found: Vec<Kernel> = Vec::new();
    for line in log.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [.., name, time, launches, share] = cells[..] else { continue };
        let Some((seconds, launches)) = seconds(time).zip(launches.parse().ok()) else { continue };
        if name == "Total" || !share.ends_with('%') {
            continue;
        }
        // Types of Rust in full are longer than any line.
        let name: String = name.chars().take(100).collect();
        match found.iter_mut().find(|kernel| kernel.name == name) {
            Some(kernel) => {
                kernel.seconds += seconds;
                kernel.launches += launches;
            }
            None => found.push(Kernel { name, seconds, launches }),
        }
    }
    found.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    found
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
    fn tables_are_added_up_and_other_lines_passed_over() {
        let log = "compiling x\n| Name | Duration | Num Computed | Ratio |\n| matmul | 1.5ms | 3 | 75 % |\n| cat | 500µs | 2 | 25 % |\n\
                   | Total | 2ms | 5 | 100 % |\n| matmul | 2.5ms | 1 | 100 % |\n";
        let found = kernels(log);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].launches), ("matmul", 4));
        assert!((found[0].seconds - 4e-3).abs() < 1e-12 && (found[1].seconds - 5e-4).abs() < 1e-12);
    }
}
