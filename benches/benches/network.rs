//! Training steps, network evaluations and sampling, by criterion: `cargo xtask bench [FILTER]`.

use std::time::Duration;

use burn::backend::{Autodiff, Flex};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use sfumato_bench::{measure::in_pool, sampling::Sampling, training::Training, workload::Workload};

// The program's own setting.
#[path = "../../crates/cli/src/allocator.rs"]
mod allocator;

/// Steps of the sampler.
const STEPS: usize = 50;

fn network(criterion: &mut Criterion) {
    let device = Default::default();
    for workload in Workload::all() {
        let mut group = criterion.benchmark_group(workload.name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements(workload.batch as u64));
        // Built when the filter lets a benchmark through, not before: the larger network takes a while.
        group.bench_function(BenchmarkId::from_parameter("training-step"), |bencher| {
            let mut training = Training::<Autodiff<Flex>>::new(&workload, &device).expect("the networks are valid");
            bencher.iter(|| training.step());
        });
        group.bench_function(BenchmarkId::from_parameter("evaluation"), |bencher| {
            let sampling = Sampling::<Flex>::new(&workload, &device).expect("the networks are valid");
            bencher.iter(|| sampling.evaluate());
        });
        if workload == Workload::small() {
            group.bench_function(BenchmarkId::from_parameter(format!("ddim-{STEPS}")), |bencher| {
                let sampling = Sampling::<Flex>::new(&workload, &device).expect("the networks are valid");
                bencher.iter(|| sampling.ddim(STEPS));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, network);

/// Everything inside the pool, as in the program.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    allocator::keep_freed_memory();
    in_pool(0, || {
        benches();
        Criterion::default().configure_from_args().final_summary();
    })?;
    Ok(())
}
