//! Signals that ask the program to stop.
//!
//! The first one asks the work to stop in good order. Ctrl-C or SIGTERM a second time ends the program at once, in the way that the
//! signal itself would.

use std::sync::{Arc, atomic::AtomicBool};

use sfumato_train::ranks::Ranks;

/// Installs the handler; the flag it returns becomes true at the first signal.
pub(crate) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    system::watch(Arc::clone(&stop), Launched::ByHand)?;
    Ok(stop)
}

/// The same in a process of a group: `mpirun` hands SIGUSR1 on to all of them, which stops them as SIGTERM does. Nothing is said, since SIGTERM also
/// comes where another rank has failed.
pub(crate) fn stop_flag_of(ranks: &dyn Ranks) -> anyhow::Result<Arc<AtomicBool>> {
    if ranks.is_alone() {
        return stop_flag();
    }
    let stop = Arc::new(AtomicBool::new(false));
    system::watch(Arc::clone(&stop), Launched::InAGroup)?;
    Ok(stop)
}

/// Who has started the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launched {
    ByHand,
    InAGroup,
}

/// Makes a file that grows beyond `ulimit -f` an error of the write, with the file's name, and not the end of the program.
pub(crate) fn survive_file_limit() {
    system::survive_file_limit();
}

fn tell() {
    say!("\nstopping after this step; press Ctrl-C again to stop at once");
}

#[cfg(unix)]
mod system {
    use super::Launched;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
        time::{Duration, Instant},
    };

    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ},
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    /// Signals within this time are one request: `timeout` sends SIGTERM to the program and then to its group.
    const ONE_REQUEST: Duration = Duration::from_secs(1);

    pub(super) fn watch(stop: Arc<AtomicBool>, launched: Launched) -> anyhow::Result<()> {
        let hangup = (!ignored(SIGHUP)).then_some(SIGHUP);
        let group = (launched == Launched::InAGroup).then_some(SIGUSR1);
        let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup).chain(group))?;
        let watch = move || {
            let mut first = None;
            for signal in signals.forever() {
                match first {
                    None => {
                        first = Some(Instant::now());
                        stop.store(true, Ordering::SeqCst);
                        if launched == Launched::ByHand {
                            super::tell();
                        }
                    }
                    // The kernel, the shell and the terminal each say that the terminal was closed.
                    Some(first) if ![SIGHUP, SIGUSR1].contains(&signal) && first.elapsed() >= ONE_REQUEST => {
                        let _ = emulate_default_handler(signal);
                    }
                    Some(_) => {}
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
        Ok(())
    }

    pub(super) fn survive_file_limit() {
        // Any handler does: the write then fails with EFBIG. Without one the program ends as it did before.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }

    /// Whether the program was started with this signal ignored, as `nohup` does. Only Linux tells.
    fn ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }
}

#[cfg(not(unix))]
mod system {
    use super::Launched;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    pub(super) fn watch(stop: Arc<AtomicBool>, launched: Launched) -> anyhow::Result<()> {
        ctrlc::set_handler(move || {
            if stop.swap(true, Ordering::SeqCst) {
                std::process::exit(1);
            }
            if launched == Launched::ByHand {
                super::tell();
            }
        })?;
        Ok(())
    }

    pub(super) fn survive_file_limit() {}
}
