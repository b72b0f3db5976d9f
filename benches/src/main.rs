//! The measured process of `cargo xtask bench`: each command prints lines of a name and a number.

// The program's own setting.
#[path = "../../crates/cli/src/allocator.rs"]
mod allocator;
mod commands;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use sfumato_bench::workload::Workload;
use sfumato_kernels::Precision;

/// Measures Sfumato; `cargo xtask bench` runs it and reads what it prints.
#[derive(Debug, Parser)]
#[command(name = "sfumato-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the network as a pipeline directory, with the batch as .npy files
    Prepare { network: NetworkName, dir: PathBuf },
    /// Print loss and gradient norm of the first step
    Check { network: NetworkName },
    /// Say whether this processor has a unit for bf16
    Units,
    /// Time training steps, and say how much memory they take
    Train(Timing),
    /// Time network evaluations
    Evaluate(Timing),
    /// How times grow with threads, batches and images, and with the other CPU backend
    Scaling {
        /// What to measure [default: all]
        parts: Vec<Part>,
    },
    /// What a training step costs by each loss, weight and density of noise levels
    Objectives,
    /// What a step would take at the machine's arithmetic peak
    Ceiling {
        network: NetworkName,
        /// Peak of fused multiply-adds, in GFLOP/s
        #[arg(long)]
        peak: f64,
    },
    /// Losses of a short training run
    Curve {
        /// Compute in double precision, which the fast kernels leave to Burn's operations
        #[arg(long)]
        composed: bool,
        #[arg(long, default_value_t = 200)]
        steps: u64,
    },
}

/// What is timed, and how often.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Timing {
    network: NetworkName,
    /// Calls that are not counted
    #[arg(long, default_value_t = 2)]
    warm_up: usize,
    /// Calls that are
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Images in the batch, if not the network's own number
    #[arg(long)]
    batch: Option<usize>,
    /// Multiply bf16 in convolutions
    #[arg(long)]
    bf16: bool,
}

impl Timing {
    fn workload(&self) -> Workload {
        let precision = if self.bf16 { Precision::Bf16 } else { Precision::F32 };
        let workload = self.network.workload().in_precision(precision);
        self.batch.map_or(workload.clone(), |batch| workload.with_batch(batch))
    }
}

/// What times may depend on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Threads,
    /// Images in a batch
    Batches,
    /// Pixels of an image
    Sizes,
    /// Flex and NdArray
    Backends,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NetworkName {
    /// 28×28×1, 1.6M parameters, batch 64
    Small,
    /// 32×32×3, 35.7M parameters, batch 16
    Cifar10,
}

impl NetworkName {
    fn workload(self) -> Workload {
        match self {
            Self::Small => Workload::small(),
            Self::Cifar10 => Workload::cifar10(),
        }
    }
}

fn main() -> anyhow::Result<()> {
    allocator::keep_freed_memory();
    match Arguments::parse().command {
        Command::Prepare { network, dir } => commands::peer::prepare(&network.workload(), &dir),
        Command::Check { network } => commands::peer::check(&network.workload()),
        Command::Units => {
            println!("bf16 {}", u8::from(Precision::Bf16.is_supported()));
            Ok(())
        }
        Command::Train(timing) => commands::peer::train(timing),
        Command::Evaluate(timing) => commands::peer::evaluate(timing),
        Command::Scaling { parts } if parts.is_empty() => commands::scaling::run(Part::value_variants()),
        Command::Scaling { parts } => commands::scaling::run(&parts),
        Command::Objectives => commands::objectives::run(),
        Command::Ceiling { network, peak } => commands::ceiling::run(&network.workload(), peak),
        Command::Curve { composed, steps } => commands::curve::run(composed, steps),
    }
}
