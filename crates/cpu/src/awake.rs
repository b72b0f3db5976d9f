//! Threads that stay awake from one kernel to the next.
//!
//! Between two kernels one thread works by itself for some microseconds: autodiff, allocation, Burn's own operations. Rayon's other
//! threads look for work some thirty times before they sleep, which they often do just before the next kernel. To wake one can take the
//! system as long as a kernel of a small batch. So some of them get a job that looks for work a little longer.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread looks for work that does not come: a training step has few longer gaps between kernels.
const LINGER: Duration = Duration::from_micros(300);
/// How long it does so in all: it may have been waiting for something else when it took the job.
const TURN: Duration = Duration::from_millis(5);
/// Threads that do so at a time, at most. They wake the others if there is work for them.
const MOST: usize = 3;

/// Jobs that have been asked for and have not ended.
static JOBS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is in such a job.
    static LINGERS: Cell<bool> = const { Cell::new(false) };
}

/// Called before a kernel: other threads of its pool will look for work for a while after it. Does nothing outside of a pool.
pub(super) fn keep_awake() {
    let Some(caller) = rayon::current_thread_index() else { return };
    let wanted = (rayon::current_num_threads() - 1).min(MOST);
    // Pools share the count: with several some may sleep sooner, which costs nothing but time.
    if JOBS.load(Ordering::Relaxed) >= wanted {
        return;
    }
    JOBS.fetch_add(1, Ordering::Relaxed);
    rayon::spawn(move || {
        // The caller takes it itself where nobody else did; it has kernels to call.
        if rayon::current_thread_index() != Some(caller) && !LINGERS.replace(true) {
            linger();
            LINGERS.set(false);
        }
        JOBS.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Does whatever work there is until there has been none for [`LINGER`].
fn linger() {
    let begin = Instant::now();
    let mut last = begin;
    loop {
        let now = match rayon::yield_now() {
            Some(rayon::Yield::Executed) => {
                last = Instant::now();
                last
            }
            _ => {
                std::thread::yield_now();
                Instant::now()
            }
        };
        if now - last > LINGER || now - begin > TURN {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether no thread lingers, now or soon.
    fn has_ended() -> bool {
        let begin = Instant::now();
        while JOBS.load(Ordering::Relaxed) > 0 {
            if begin.elapsed() > Duration::from_secs(20) {
                return false;
            }
            std::thread::sleep(LINGER);
        }
        true
    }

    #[test]
    fn threads_that_linger_do_work_and_sleep_in_the_end() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads can be had");
        let sum = pool.install(|| {
            (0..100u64).fold(0, |sum, i| {
                keep_awake();
                let (a, b) = rayon::join(|| i, || 2 * i);
                sum + a + b
            })
        });
        assert_eq!(sum, 3 * 4950);
        assert!(has_ended());
        drop(pool);
    }

    #[test]
    fn nothing_lingers_where_there_is_nobody_to_wait_for() {
        keep_awake(); // outside of a pool
        rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be had").install(keep_awake);
        assert!(has_ended());
    }
}
