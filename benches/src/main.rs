//! The measured process of `cargo xtask bench`: each command prints lines of a name and a number.

// The program's own setting.
#[path = "../../crates/cli/src/allocator.rs"]
mod allocator;
mod commands;
// The same settings of kernels as in the program, in the same folder.
#[cfg(feature = "device")]
#[path = "../../crates/cli/src/kernel_settings.rs"]
mod kernel_settings;

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
    Prepare {
        network: NetworkName,
        dir: PathBuf,
        #[command(flatten)]
        images: Images,
    },
    /// Print loss and gradient norm of the first step
    Check {
        network: NetworkName,
        #[command(flatten)]
        images: Images,
    },
    /// Say whether this processor has a unit for bf16
    Units,
    /// Time training steps, and say how much memory they take
    Train(Timing),
    /// Time network evaluations
    Evaluate(Timing),
    /// Time training steps or evaluations on an accelerator that is compiled in, without reading anything between them
    #[cfg(feature = "device")]
    Device {
        backend: commands::device::DeviceName,
        work: commands::device::DeviceWork,
        #[command(flatten)]
        timing: Timing,
    },
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
    #[command(flatten)]
    images: Images,
    /// Multiply bf16 in convolutions
    #[arg(long)]
    bf16: bool,
}

impl Timing {
    fn workload(&self) -> Workload {
        let precision = if self.bf16 { Precision::Bf16 } else { Precision::F32 };
        self.images.of(self.network.workload().in_precision(precision))
    }
}

/// The images of a batch.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Images {
    /// Images in the batch, if not the network's own number
    #[arg(long)]
    batch: Option<usize>,
    /// Height and width of the images, if not the network's own
    #[arg(long)]
    size: Option<usize>,
}

impl Images {
    /// The same network with these images.
    fn of(self, workload: Workload) -> Workload {
        let (batch, size) = (self.batch.unwrap_or(workload.batch), self.size.unwrap_or(workload.size));
        workload.with_batch(batch).with_size(size)
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
        Command::Prepare { network, dir, images } => commands::peer::prepare(&images.of(network.workload()), &dir),
        Command::Check { network, images } => commands::peer::check(&images.of(network.workload())),
        Command::Units => {
            println!("bf16 {}", u8::from(Precision::Bf16.is_supported()));
            Ok(())
        }
        Command::Train(timing) => commands::peer::train(timing),
        Command::Evaluate(timing) => commands::peer::evaluate(timing),
        #[cfg(feature = "device")]
        Command::Device { backend, work, timing } => commands::device::run(backend, work, timing),
        Command::Scaling { parts } if parts.is_empty() => commands::scaling::run(Part::value_variants()),
        Command::Scaling { parts } => commands::scaling::run(&parts),
        Command::Objectives => commands::objectives::run(),
        Command::Ceiling { network, peak } => commands::ceiling::run(&network.workload(), peak),
        Command::Curve { composed, steps } => commands::curve::run(composed, steps),
    }
}
