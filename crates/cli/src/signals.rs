//! Ctrl-C and SIGTERM: the first asks the work to stop in good order, the second ends the program at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Installs the handler; the flag it returns becomes true at the first signal.
pub(crate) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        say!("\nstopping after this step; press Ctrl-C again to stop at once");
    })?;
    Ok(stop)
}
