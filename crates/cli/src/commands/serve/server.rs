//! Connections: who is let in, for how long, and the end of all of them.

use std::{
    convert::Infallible,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::Runtime,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    limits::{CONNECTIONS, FAREWELL, HEAD_TIME, STALL_TIME},
    patient::Patient,
    routes::{Site, answered},
};

/// How often it is looked whether the program is to end.
const LOOK: Duration = Duration::from_millis(50);
/// Longest head of a request.
const LONGEST_HEAD: usize = 16 << 10;
/// What a client is told that is not let in.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Length: 42\r\n\r\n{\"error\": \"too many connections are open\"}";

/// What answers: a runtime of one thread, since the work is done elsewhere.
pub(super) struct Server {
    runtime: Runtime,
    listener: tokio::net::TcpListener,
}

impl Server {
    /// Makes a server of a listener that is bound already.
    ///
    /// # Errors
    /// If the system refuses what an event loop needs.
    pub(super) fn new(listener: TcpListener) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the server")?;
        listener.set_nonblocking(true).context("cannot start the server")?;
        let listener = {
            let _within = runtime.enter();
            tokio::net::TcpListener::from_std(listener).context("cannot start the server")?
        };
        Ok(Self { runtime, listener })
    }

    /// Answers until `stop` is set; then the jobs are closed, and their last events are sent.
    pub(super) fn serve(self, site: &Arc<Site>, stop: &AtomicBool) {
        self.runtime.block_on(async {
            let mut open = JoinSet::new();
            tokio::select! {
                () = accept(&self.listener, site, &mut open) => {}
                () = wanted(stop) => {}
            }
            drop(self.listener);
            site.jobs.close();
            // Those that watch a job are told of its end, if they listen.
            let _ = timeout(FAREWELL / 2, async { while open.join_next().await.is_some() {} }).await;
        });
        self.runtime.shutdown_background();
    }
}

async fn wanted(stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        sleep(LOOK).await;
    }
}

async fn accept(listener: &tokio::net::TcpListener, site: &Arc<Site>, open: &mut JoinSet<()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Those that have ended meanwhile.
        while open.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // A client that has left at once, or no file number that is free.
            Err(_) => {
                sleep(LOOK).await;
                continue;
            }
        };
        match Arc::clone(&room).try_acquire_owned() {
            Ok(place) => {
                let site = Arc::clone(site);
                open.spawn(async move {
                    connection(stream, site).await;
                    drop(place);
                });
            }
            Err(_) => refuse(stream).await,
        }
    }
}

/// Says that there is no room. What is not taken at once is lost, so that no other client waits for this one.
async fn refuse(mut stream: TcpStream) {
    let _ = timeout(Duration::from_millis(10), stream.write_all(NO_ROOM)).await;
}

/// Answers what comes on one connection.
async fn connection(stream: TcpStream, site: Arc<Site>) {
    let Ok(peer) = stream.peer_addr() else { return };
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answered(&site, peer.ip(), request).await) }
    });
    let stream = Patient::new(TokioIo::new(stream), STALL_TIME);
    // A client that closes its half leaves: its job is not wanted any more.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(LONGEST_HEAD)
        .half_close(false)
        .serve_connection(stream, service)
        .await;
    // Clients leave whenever they like, and may send anything.
    if let Err(error) = served {
        tracing::debug!("a connection from {peer} ended: {error}");
    }
}
