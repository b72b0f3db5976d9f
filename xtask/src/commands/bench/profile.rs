//! `--profile`: where a training step's time goes, by sampling it with Linux's `perf`, and what it would be at the
//! machine's arithmetic peak.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use super::machine;
use crate::cargo::cargo;

/// Parts of a step, each with what its functions or their files are called; the first that fits counts.
const PARTS: [(&str, &[&str]); 10] = [
    ("3x3 convolutions (Winograd)", &["::winograd::"]),
    ("other convolutions", &["sfumato_cpu::conv"]),
    ("matrix products (attention, linear, 1x1)", &["::gemm", "sfumato_cpu::linear"]),
    ("attention, softmax", &["attention", "softmax"]),
    ("group norm", &["::norm::"]),
    ("Adam, clipping", &["adam", "sum_of_squares"]),
    ("elementwise, sums, up- and downsampling, concatenation", &["sfumato_cpu", "sfumato_kernels"]),
    ("Burn: copies, elementwise, autodiff", &["burn", "cubecl", "macerator"]),
    ("thread pool", &["rayon", "crossbeam"]),
    ("allocation and copies in libc", &["malloc", "free", "mem", "realloc", "calloc"]),
];
const SYSTEM: &str = "operating system (page faults, threads)";
const OTHER: &str = "other";

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let program = super::build(&[])?;
    let peak = peak()?;
    println!("{}- arithmetic peak: {peak:.0} GFLOP/s, f32 fused multiply-adds on all cores\n", machine::describe());
    for network in ["small", "cifar10"] {
        let status = Command::new(&program).args(["ceiling", network, "--peak", &peak.to_string()]).status();
        if !status.context("cannot run sfumato-bench")?.success() {
            bail!("sfumato-bench ceiling {network} failed");
        }
        match sampled(&program, network)? {
            Some(report) => {
                println!("\n| part of a training step, {network} | share of samples |\n| --- | ---: |");
                for (part, share) in parts(&report) {
                    println!("| {part} | {share:.1} % |");
                }
                println!();
            }
            None => println!("(no `perf` here: no breakdown)\n"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The machine's peak in GFLOP/s, measured.
fn peak() -> anyhow::Result<f64> {
    let mut command = cargo("run");
    command.args(["--quiet", "--release", "--package", "sfumato-cpu", "--example", "peak"]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    best_rate(&String::from_utf8_lossy(&output.stdout)).context("the example `peak` of sfumato-cpu printed no GFLOP/s")
}

/// The largest number before the word GFLOP/s.
fn best_rate(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let rates = words.windows(2).filter(|pair| pair[1].starts_with("GFLOP/s")).filter_map(|pair| pair[0].parse().ok());
    rates.reduce(f64::max)
}

/// A line a function: `share|object|[.] name`. None where `perf` is not installed or may not look.
fn sampled(program: &Path, network: &str) -> anyhow::Result<Option<String>> {
    let data = program.with_file_name("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--event", "cpu-clock", "--freq", "499", "--output"]).arg(&data).arg("--");
    record.arg(program).args(["train", network, "--repetitions", "10"]);
    let recorded = record.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !recorded.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let mut report = Command::new("perf");
    report.args(["report", "--stdio", "--no-children", "--fields", "overhead,dso,symbol", "--field-separator", "|"]);
    let output = report.arg("--input").arg(&data).stderr(Stdio::null()).output().context("cannot run perf report")?;
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Sums over the functions of each part in percent, the largest first.
fn parts(report: &str) -> Vec<(&'static str, f64)> {
    let mut sums: Vec<(&'static str, f64)> = Vec::new();
    for line in report.lines().filter(|line| !line.starts_with('#')) {
        let Some((share, name)) = line.split_once('|') else { continue };
        let Ok(share) = share.trim().trim_end_matches('%').parse::<f64>() else { continue };
        let part = part(name);
        match sums.iter_mut().find(|(known, _)| *known == part) {
            Some((_, sum)) => *sum += share,
            None => sums.push((part, share)),
        }
    }
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums
}

fn part(name: &str) -> &'static str {
    if name.contains("[k]") {
        return SYSTEM;
    }
    PARTS.iter().find(|(_, words)| words.iter().any(|word| name.contains(word))).map_or(OTHER, |(part, _)| part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_summed_by_part() {
        let report = "# comment\n\n 19.57%|sfumato-bench|[.] sfumato_cpu::winograd::forward::forward_block_isa::v4\n\
                      10.00%|sfumato-bench|[.] sfumato_cpu::winograd::weight::weight_isa::v4\n\
                      6.64%|sfumato-bench|[.] <burn_flex::strided_index::StridedIter as Iterator>::next\n\
                      1.84%|[kernel.kallsyms]|[k] exc_page_fault\n  0.50%|sfumato-bench|[.] sfumato_cpu::norm::forward\n\
                      3.15%|libc.so.6|[.] __memmove_avx512_unaligned_erms\n0.10%|sfumato-bench|[.] main\n";
        let parts = parts(report);
        let share = |name: &str| parts.iter().find(|(part, _)| part.starts_with(name)).unwrap().1;
        assert!((share("3x3") - 29.57).abs() < 1e-9);
        assert_eq!(parts[0].0, PARTS[0].0);
        assert_eq!(
            (share("Burn"), share("operating"), share("group"), share("allocation"), share("other")),
            (6.64, 1.84, 0.5, 3.15, 0.1)
        );
    }

    #[test]
    fn the_peak_is_the_best_that_was_measured() {
        assert_eq!(best_rate("1 threads: 116.2 GFLOP/s\n2 threads: 233.1 GFLOP/s\n"), Some(233.1));
        assert_eq!(best_rate("nothing"), None);
    }
}
