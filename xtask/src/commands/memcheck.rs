//! `cargo xtask memcheck`: the kernels' tests under valgrind, which sees every read and write.

mod threads;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use super::Usage;
use crate::cargo;

const HELP: &str = "\
Usage: cargo xtask memcheck [--threads] [FILTER...]

Runs the tests of the slice kernels (kernels, convolutions, bf16, fresh, nothing, adam, attention_block, norm_conv, upsample_conv and threads
of crates/cpu/tests; with filters, only tests whose names contain one) in valgrind's memcheck, and fails if it finds a read or write outside allocated memory or a decision that
depends on values never written. Takes some minutes. Leaks are not looked for: the thread pool lives to the end.

These tests run every kernel with AVX2, where the processor has it, and as portable code. Valgrind hides AVX-512 from
programs: the test guard_pages checks that, and runs with all the others. The remaining tests are left out: guard_pages
ends processes on purpose, isa, hostile and tiny call what it calls, references runs no kernel, absurd_sizes is refused by every one. The tests of crates/kernels run the same
kernels through Burn, from code without unsafe. Scratch memory is made of zeros and reused, so within it memcheck sees nothing.

With --threads, the tests threads and tiny run under ThreadSanitizer instead, and it fails if two threads touch one value without order; races,
a race on purpose, has to be found first. That needs the nightly toolchain with rust-src.

Random sizes are the same in every run; PROPTEST_RNG_SEED=N chooses others, PROPTEST_CASES=N more or fewer.
";

/// Test programs that call the slice kernels, each with every instruction set that it finds.
const TESTS: [&str; 10] = [
    "kernels",
    "convolutions",
    "bf16",
    "fresh",
    "nothing",
    "adam",
    "attention_block",
    "norm_conv",
    "upsample_conv",
    "threads",
];

/// Valgrind's exit code if it found an error, which no test program has.
const FOUND: &str = "99";

/// The seed of random sizes, unless the environment has one.
const SEED: &str = "1";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (threads, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "--threads" => (true, rest),
        _ => (false, arguments),
    };
    let Some(filters) = filters(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    if threads {
        return threads::run(filters);
    }
    find_valgrind("valgrind")?;
    let mut build = cargo::cargo("test");
    build.args(["--release", "--package", "sfumato-cpu", "--no-run", "--message-format", "json-render-diagnostics"]);
    build.args(TESTS.iter().flat_map(|test| ["--test", test]));
    let Some(programs) = cargo::executables(&mut build)? else { return Ok(ExitCode::FAILURE) };
    let mut clean = true;
    for test in TESTS {
        let found = programs.iter().find(|(name, _)| name == test);
        let (_, program) = found.with_context(|| format!("cargo built the test {test} without saying where it is"))?;
        println!("== {test}, {}", instruction_sets());
        let status = command(program, filters).status().context("cannot run valgrind")?;
        let verdict = match status.code() {
            Some(0) => "no error",
            Some(code) if code.to_string() == FOUND => "memcheck found errors",
            _ => "the tests themselves failed",
        };
        println!("== {test}: {verdict} ({status})\n");
        clean &= status.success();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Words that names of tests are to contain; `None` if help is wanted.
fn filters(arguments: &[String]) -> anyhow::Result<Option<&[String]>> {
    match arguments.iter().find(|argument| argument.starts_with('-')) {
        Some(argument) if argument == "--help" || argument == "-h" => Ok(None),
        Some(argument) => Err(Usage(format!("unexpected argument `{argument}`\n\n{HELP}")).into()),
        None => Ok(Some(arguments)),
    }
}

/// Fails where it cannot be run.
fn find_valgrind(program: &str) -> anyhow::Result<()> {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        bail!("memcheck needs valgrind, which is not installed here (on Debian and Ubuntu: apt install valgrind)");
    }
    Ok(())
}

/// A test program in memcheck.
fn command(program: &Path, filters: &[String]) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--leak-check=no", "--num-callers=30", &format!("--error-exitcode={FOUND}")]);
    // Valgrind runs one thread at a time; without this, a waiting one keeps the working one from it.
    command.arg("--fair-sched=try");
    // One test at a time, so that a report stands below its name.
    command.arg(program).args(["--test-threads", "1"]).args(filters);
    // Two threads whatever the machine has: sharing work out is part of what is checked.
    command.env("RAYON_NUM_THREADS", "2");
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        command.env("PROPTEST_RNG_SEED", SEED);
    }
    command
}

/// What the test programs will find inside valgrind.
fn instruction_sets() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return "with AVX2 and portable";
    }
    "portable only: this processor has no AVX2"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_filter_tests_and_options_are_usage_errors() {
        assert!(filters(&[]).unwrap().unwrap().is_empty());
        assert_eq!(filters(&strings(&["silu", "adam"])).unwrap().unwrap(), ["silu", "adam"]);
        assert!(filters(&strings(&["silu", "--help"])).unwrap().is_none());
        assert!(filters(&strings(&["--leaks"])).unwrap_err().is::<Usage>());
    }

    #[test]
    fn a_missing_valgrind_is_said_in_one_sentence() {
        let error = find_valgrind("valgrind-that-nobody-has").unwrap_err();
        assert!(!error.is::<Usage>());
        assert!(error.to_string().contains("needs valgrind, which is not installed"), "{error}");
    }

    #[test]
    fn errors_have_an_exit_code_of_their_own_and_filters_reach_the_program() {
        let command = command(Path::new("kernels"), &strings(&["silu"]));
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert!(words.contains(&"--error-exitcode=99"));
        assert_eq!(words[words.len() - 4..], ["kernels", "--test-threads", "1", "silu"]);
    }

    #[test]
    fn every_test_program_of_the_kernels_is_run_or_named_in_the_help() {
        for file in std::fs::read_dir(cargo::root().join("crates/cpu/tests")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(HELP.contains(name), "{name}");
            }
        }
    }
}
