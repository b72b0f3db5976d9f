//! Times, medians, memory, threads.

use std::{hint::black_box, time::Instant};

/// Seconds that each of `count` calls takes, after `warm_up` calls that are not counted.
pub fn times<T>(warm_up: usize, count: usize, mut work: impl FnMut() -> T) -> Vec<f64> {
    (0..warm_up).for_each(|_| drop(work()));
    (0..count)
        .map(|_| {
            let start = Instant::now();
            drop(black_box(work()));
            start.elapsed().as_secs_f64()
        })
        .collect()
}

/// The middle value, or the mean of the two in the middle; NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => 0.5 * (sorted[middle - 1] + sorted[middle]),
    }
}

/// The most memory that this process has held, in bytes; none where the system does not say.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Seconds that the processor has worked for the threads of this process that have not ended; none where the system does not say.
pub fn processor_seconds() -> Option<f64> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 * 1e-9)
}

/// Does `work` inside a pool of `threads` threads (0: one a core, or `RAYON_NUM_THREADS`), as the program does.
///
/// # Errors
/// If the threads cannot be started.
pub fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, rayon::ThreadPoolBuildError> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(64 << 20).build()?.install(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn warm_up_calls_are_made_but_not_counted() {
        let mut calls = 0;
        assert_eq!(times(2, 3, || calls += 1).len(), 3);
        assert_eq!(calls, 5);
    }

    #[test]
    fn work_happens_in_a_pool_of_the_size_asked_for() {
        assert_eq!(in_pool(3, rayon::current_num_threads).unwrap(), 3);
    }
}
