//! What a training step asks of a device: kernels that are launched, memory that is allocated, values that are read back. Counted by what
//! wgpu logs of each call, on Mesa's Vulkan where there is no GPU.
#![cfg(feature = "vulkan")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use burn::{
    backend::{Autodiff, Vulkan},
    tensor::Tensor,
};
use log::{LevelFilter, Log, Metadata, Record};
use sfumato_data::{LoadOptions, Split, load};
use sfumato_train::{Run, RunDir, Silent, TrainConfig, ranks::Alone};

/// Most kernels that a step of the network below may launch: 7,400 were counted on Mesa's Vulkan.
const MOST_LAUNCHES: u64 = 8_000;
/// Steps between two readings.
const LOG_EVERY: u64 = 5;

/// Calls since the start of the process.
#[derive(Debug)]
struct Counter {
    launches: AtomicU64,
    allocations: AtomicU64,
    reads: AtomicU64,
}

static COUNTER: Counter =
    Counter { launches: AtomicU64::new(0), allocations: AtomicU64::new(0), reads: AtomicU64::new(0) };

impl Log for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let counts = [
            ("ComputePass::dispatch", &self.launches),
            ("Device::create_buffer ", &self.allocations),
            ("Buffer::map_async", &self.reads),
        ];
        for (call, count) in counts {
            if text.starts_with(call) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn flush(&self) {}
}

/// What a run asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    launches: u64,
    allocations: u64,
    reads: u64,
    time: Duration,
}

/// A run of `steps` steps of a small U-Net.
fn run(steps: u64) -> Asked {
    let set = |key: &str, value: toml::Value| (key.split('.').map(str::to_owned).collect::<Vec<_>>(), value);
    let overrides = [
        set("training.steps", (steps as i64).into()),
        set("training.batch_size", 4.into()),
        set("training.log_every", (LOG_EVERY as i64).into()),
        set("training.max_minutes", 0.0.into()),
        set("model.channels", vec![8, 16].into()),
        set("model.attention", vec![false, true].into()),
        set("model.groups", 4.into()),
        set("model.blocks_per_level", 1.into()),
        set("samples.num", 1.into()),
        set("samples.steps", 1.into()),
        set("samples.every", 0.into()),
        set("held_out.every", 0.into()),
    ];
    let config = TrainConfig::layered(Some("quality"), None, &overrides).unwrap();
    let options = LoadOptions { split: Split::Train, ..LoadOptions::default() };
    let data = load(&config.data.dataset, &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(&folder.path().join("run"), &config, &serde_json::json!({})).unwrap();
    let run = Run {
        config: &config,
        data: &data,
        dir: &dir,
        from: None,
        environment: &serde_json::json!({}),
        stop: &AtomicBool::new(false),
        held_out: None,
        ranks: &Alone,
    };
    let counts = || [&COUNTER.launches, &COUNTER.allocations, &COUNTER.reads].map(|count| count.load(Ordering::SeqCst));
    let (before, start) = (counts(), Instant::now());
    run.train::<Autodiff<Vulkan>>(&Default::default(), &mut Silent).unwrap();
    let after = counts();
    let [launches, allocations, reads] = [0, 1, 2].map(|i| after[i] - before[i]);
    Asked { launches, allocations, reads, time: start.elapsed() }
}

#[test]
fn a_step_reads_nothing_back_and_launches_few_kernels() {
    let one = || (Tensor::<Vulkan, 1>::ones([4], &Default::default()) + 1.0).try_into_data().is_ok();
    if !catch_unwind(AssertUnwindSafe(one)).unwrap_or(false) {
        eprintln!("NOT RUN: there is no Vulkan device here");
        return;
    }
    // Kernels are compiled and tuned.
    run(2 * LOG_EVERY);
    log::set_logger(&COUNTER).unwrap();
    log::set_max_level(LevelFilter::Trace);
    // What both runs do at their start and end is in neither difference.
    let (short, long) = (run(2 * LOG_EVERY), run(4 * LOG_EVERY));
    let steps = 2 * LOG_EVERY;
    let [launches, allocations] =
        [long.launches - short.launches, long.allocations - short.allocations].map(|n| n / steps);
    let reads = long.reads.saturating_sub(short.reads);
    eprintln!("per step: {launches} launches, {allocations} allocations, {} reads", reads as f64 / steps as f64);
    eprintln!("{short:?}\n{long:?}");
    assert!(launches > 10, "nothing was counted");
    assert!(launches <= MOST_LAUNCHES, "{launches} launches a step");
    // A slow machine is read every five seconds besides.
    let slow = long.time.as_secs() / 5;
    assert!(reads <= steps / LOG_EVERY + slow, "{reads} values were read in {steps} steps");
}
