//! A connection whose client has to take something now and then.
//!
//! A client that asks for pictures and never reads them would keep its connection, and what waits in it, forever.

use std::{
    io::{Error, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep};

/// A stream that breaks off when nothing of what is written can be handed on for some time.
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs while the stream takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stalled: None }
    }

    /// What has become of an attempt: taken, or an error once the patience is over.
    fn judged<T>(&mut self, attempt: Poll<Result<T, Error>>, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        if attempt.is_ready() {
            self.stalled = None;
            return attempt;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        stalled.as_mut().reset(Instant::now() + patience);
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: Read + Unpin> Read for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        let attempt = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judged(attempt, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let attempt = Pin::new(&mut self.stream).poll_flush(context);
        self.judged(attempt, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let attempt = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judged(attempt, context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[test]
    fn a_client_that_takes_something_is_waited_for_and_one_that_takes_nothing_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = duplex(4);
            let mut stream = Patient::new(TokioIo::new(near), Duration::from_millis(50));
            let reader = tokio::spawn(async move {
                let mut bytes = [0; 4];
                far.read_exact(&mut bytes).await.unwrap();
                // It stays open, and takes nothing more.
                (far, bytes)
            });
            let mut written = 0;
            let end = loop {
                match poll_fn(|context| Pin::new(&mut stream).poll_write(context, &[7; 3])).await {
                    Ok(count) => written += count,
                    Err(error) => break error.kind(),
                }
            };
            let (_far, bytes) = reader.await.unwrap();
            assert_eq!((end, bytes, written), (ErrorKind::TimedOut, [7; 4], 8));
        });
    }
}
