//! What the program says: results on standard output, everything else on standard error.
//!
//! What is said on stderr never stops the work: not if nobody can read it, and not if its reader waits, as a terminal does after
//! Ctrl-S or when the network is down. So a thread of its own writes it, and what comes too fast for the reader is lost. Only
//! at its end does the program wait until everything is read, as others do.
//!
//! A result that cannot be written is an error, unless its reader has left: `sfumato info M | head -1` has seen what it wanted.
//! The standard macros would panic, so clippy forbids them in this crate.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Result as IoResult, Write, stderr, stdout},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, sleep},
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

/// Pieces of text that wait for the reader of stderr.
const WAITING: usize = 1024;
/// Time after which a stream that takes nothing just now is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// Whether another process of the group says it.
static MUTE: AtomicBool = AtomicBool::new(false);

/// From here on nothing but errors is said: rank 0 of the group speaks for all.
pub(crate) fn only_errors() {
    MUTE.store(true, Ordering::SeqCst);
}

/// Whether nothing but errors is said here.
pub(crate) fn is_mute() -> bool {
    MUTE.load(Ordering::SeqCst)
}

/// A line on stderr, in one piece.
pub(crate) fn line(words: Arguments<'_>) {
    if !is_mute() {
        error(words);
    }
}

/// A line on stderr, whoever speaks otherwise.
pub(crate) fn error(words: Arguments<'_>) {
    piece(format!("{words}\n").into_bytes());
}

/// Waits until the reader of stderr has got everything.
pub(crate) fn settle() {
    if let Some(Some(waiting)) = WRITER.get() {
        let (said, all) = channel();
        if waiting.send(Words::Tell(said)).is_ok() {
            let _ = all.recv();
        }
    }
}

/// A line on stdout.
pub(crate) fn result_line(words: Arguments<'_>) -> Result<()> {
    result(|out| writeln!(out, "{words}"))
}

/// A result on stdout, as long as it is, after everything that was said before it.
///
/// # Errors
/// If it cannot be written. A reader that has left is no error.
pub(crate) fn result(write: impl FnOnce(&mut Vec<u8>) -> IoResult<()>) -> Result<()> {
    if is_mute() {
        return Ok(());
    }
    let mut text = Vec::new();
    let written = write(&mut text);
    settle();
    delivered(written.and_then(|()| write_all(&mut stdout().lock(), &text)))
}

/// What has become of a write to stdout.
///
/// # Errors
/// If it failed for another reason than that the reader has left.
pub(crate) fn delivered(written: IoResult<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Standard error as a stream that never fails and never waits.
#[derive(Debug)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        if !is_mute() {
            piece(bytes.to_vec());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// What the writer of stderr is to do.
enum Words {
    Say(Vec<u8>),
    /// Tell when it is here.
    Tell(Sender<()>),
}

/// The way to the thread that writes to stderr; none if the system gives no thread.
static WRITER: OnceLock<Option<SyncSender<Words>>> = OnceLock::new();

/// Hands a piece of text to the writer, or drops it.
fn piece(text: Vec<u8>) {
    match WRITER.get_or_init(start) {
        Some(waiting) => drop(waiting.try_send(Words::Say(text))),
        None => drop(write_all(&mut stderr().lock(), &text)),
    }
}

fn start() -> Option<SyncSender<Words>> {
    let (waiting, come) = sync_channel(WAITING);
    thread::Builder::new().name("stderr".to_owned()).spawn(move || write(&come)).ok()?;
    Some(waiting)
}

fn write(come: &Receiver<Words>) {
    for words in come {
        match words {
            Words::Say(text) => drop(write_all(&mut stderr().lock(), &text)),
            Words::Tell(said) => drop(said.send(())),
        }
    }
}

/// Waits for a stream that another program has told not to block, which is no reason to lose words.
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

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    /// Takes a byte at every third attempt.
    struct Slow {
        taken: Vec<u8>,
        attempts: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
            self.attempts += 1;
            match self.attempts % 3 {
                0 => self.taken.push(bytes[0]),
                1 => return Err(ErrorKind::WouldBlock.into()),
                _ => return Err(ErrorKind::Interrupted.into()),
            }
            Ok(1)
        }

        fn flush(&mut self) -> IoResult<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_takes_nothing_just_now_gets_everything_later() {
        let mut slow = Slow { taken: Vec::new(), attempts: 0 };
        write_all(&mut slow, b"all of it").unwrap();
        assert_eq!(slow.taken, b"all of it");
    }

    #[test]
    fn only_a_reader_that_has_left_is_no_error() {
        delivered(Ok(())).unwrap();
        delivered(Err(ErrorKind::BrokenPipe.into())).unwrap();
        let error = delivered(Err(Error::from(ErrorKind::StorageFull))).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write to standard output: "), "{error:#}");
    }
}
