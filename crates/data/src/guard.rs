//! Decoders of other people's formats, of which some panic on files that nobody thought of.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is caught and becomes a reason.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode`; a panic in it is an error like any other, and nothing is printed.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guarded_or(decode, |reason| reason)
}

/// The same for errors of any kind: `damaged` makes one of the reason.
pub(super) fn guarded_or<T, E>(
    decode: impl FnOnce() -> Result<T, E>,
    damaged: impl FnOnce(String) -> E,
) -> Result<T, E> {
    static QUIET: Once = Once::new();
    // The hook that was there keeps every other panic, on this thread and on others.
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outer);
    result.unwrap_or_else(|_| Err(damaged("it is damaged in a way that its decoder does not handle".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_reason() {
        assert_eq!(guarded(|| Ok(7)), Ok(7));
        assert_eq!(guarded::<()>(|| Err("no".into())), Err("no".into()));
        let empty: Vec<u8> = Vec::new();
        assert!(guarded(|| Ok(empty[0])).unwrap_err().contains("damaged"));
        assert_eq!(guarded_or(|| Ok(empty[0]), |_| 3), Err(3));
    }

    #[test]
    fn on_many_threads_each_panic_costs_what_it_was_about() {
        use rayon::prelude::*;
        let values: Vec<u8> = (0..200).collect();
        let read = |i: usize| guarded(|| Ok(values[2 * i]));
        let results: Vec<Result<u8, String>> = (0..200).into_par_iter().map(read).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
        assert!(results.iter().enumerate().all(|(i, result)| result.is_ok() == (i < 100)));
    }
}
