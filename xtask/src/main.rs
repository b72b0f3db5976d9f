//! `cargo xtask`: the one entrance for people who work with this repository.
//!
//! A thin layer over cargo and the program: it picks features, builds, and runs. It depends on nothing heavy, so that it
//! is there within seconds of a fresh clone. One file a command in `commands`.

#![forbid(unsafe_code)]

mod cargo;
mod checksum;
mod commands;
mod process;

use std::process::ExitCode;

use commands::{
    bench, book, ci, conformance, dataset, evidence, gpu, memcheck, miri, program, report_check, serve_check, test,
    torture,
};

/// Wrong use, as opposed to a failed run.
pub(crate) const USAGE: u8 = 2;

const HELP: &str = "\
Sfumato's workbench

Usage: cargo xtask COMMAND [ARGUMENTS]

Run the program (built in release mode; every further argument goes to it, so try `cargo xtask train --help`):
  train      train a model; without arguments, the default preset on the embedded images
  sample     draw pictures from a trained model
  eval       score a model on data, in bits per dimension
  compare    say which of two models is better, on the same data
  schedule   show, plot, compare or check noise schedules
  import     convert a checkpoint of improved-diffusion or guided-diffusion
  average    make a model of a run's weights, averaged over another part of the run
  export     write a model as a directory that diffusers loads
  info       describe a model directory
  report     one page for one or several runs
  serve      a page on this machine to play with a model
             --backend flex|ndarray|cuda|wgpu|vulkan|metal|rocm also compiles that backend in
             --ranks R runs train, sample or eval on R processes by MPI; --hosts FILE says on which machines

Work on the code:
  test       all tests: cargo xtask test [FILTER...] [-p CRATE] [-- TEST OPTIONS]
  ci         everything that has to pass: cargo xtask ci [--only STEP] [--skip STEP] [--list]
  memcheck   the kernels' tests under valgrind (some minutes): cargo xtask memcheck [FILTER...]
             --threads: under ThreadSanitizer, for what threads do to each other
  miri       every function of the kernels in an interpreter that checks each pointer (some minutes)
  torture    kill, cut and crash tiny runs, and compare what is left: cargo xtask torture [--rounds N] [--seed S] [--only KIND]
  bench      how fast it is: cargo xtask bench [FILTER...], --peer torch, --scaling, --profile, --curve
  gpu        compare a GPU with the CPU and measure it, with a page of what was found: cargo xtask gpu [--backend NAME] [--peer torch]
  book       build the book in docs/ with mdBook, if that is installed: cargo xtask book [--open]
  conformance  the same models, inputs and noise here and in diffusers: a table of the largest differences
  evidence   make the numbers in docs/results again and say whether they are the same: cargo xtask evidence [NAME...]
  report-check  open the pages of short runs in a browser, and use them
  serve-check   open the page of `serve` in a browser, and use it
  dataset    make the embedded data: cargo xtask dataset fashion-mnist-mini [--from DIR] [--check]

  help       this page
";

fn main() -> ExitCode {
    let arguments: Vec<String> = match std::env::args_os().skip(1).map(|a| a.into_string()).collect() {
        Ok(arguments) => arguments,
        Err(argument) => {
            eprintln!("error: the argument {} is not valid Unicode", argument.display());
            return ExitCode::from(USAGE);
        }
    };
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        "test" => test::run(rest),
        "ci" => ci::run(rest),
        "memcheck" => memcheck::run(rest),
        "miri" => miri::run(rest),
        "bench" => bench::run(rest),
        "conformance" => conformance::run(rest),
        "dataset" => dataset::run(rest),
        "evidence" => evidence::run(rest),
        "gpu" => gpu::run(rest),
        "torture" => torture::run(rest),
        "book" => book::run(rest),
        "report-check" => report_check::run(rest),
        "serve-check" => serve_check::run(rest),
        command if program::COMMANDS.contains(&command) => program::run(command, rest),
        unknown => {
            eprintln!("error: unknown command `{unknown}`\n\n{HELP}");
            return ExitCode::from(USAGE);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        // Commands say by the error's type whether it was the arguments.
        ExitCode::from(if error.is::<commands::Usage>() { USAGE } else { 1 })
    })
}
