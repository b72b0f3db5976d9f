//! What the program says: results on standard output, everything else on standard error.
//!
//! A line on stderr that nobody can read never stops the work. A result that cannot be written is an error, unless its reader
//! has left: `sfumato info M | head -1` has seen what it wanted. The standard macros panic in both cases, so clippy forbids
//! them in this crate.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Result as IoResult, Write, stderr, stdout},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result};

/// Says a line on stderr, if it can be said.
macro_rules! say {
    ($($words:tt)*) => { $crate::say::line(format_args!($($words)*)) };
}

/// Writes a line of the result to stdout.
macro_rules! out {
    ($($words:tt)*) => { $crate::say::result_line(format_args!($($words)*)) };
}

/// Time after which a stream that takes nothing just now is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// A line on stderr, in one piece.
pub(crate) fn line(words: Arguments<'_>) {
    let _ = stderr().lock().write_all(format!("{words}\n").as_bytes());
}

/// A line on stdout.
pub(crate) fn result_line(words: Arguments<'_>) -> Result<()> {
    result(|out| writeln!(out, "{words}"))
}

/// A result on stdout, as long as it is.
///
/// # Errors
/// If it cannot be written. A reader that has left is no error.
pub(crate) fn result(write: impl FnOnce(&mut Vec<u8>) -> IoResult<()>) -> Result<()> {
    let mut text = Vec::new();
    let written = write(&mut text).and_then(|()| write_all(&mut stdout().lock(), &text));
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Waits for a stream that another program has told not to block, which is no reason to lose a result.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> IoResult<()> {
    loop {
        let done = if bytes.is_empty() { out.flush().map(|()| 0) } else { out.write(bytes) };
        match done {
            Ok(0) if bytes.is_empty() => return Ok(()),
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(AGAIN),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
