//! A job as server-sent events (WHATWG HTML, "Server-sent events"): one for each thing that happens, until its end.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::sleep};

use super::{
    job::{Job, Phase, Png, Seen},
    jobs::Watcher,
    limits::COMMENT_EVERY,
    reply::Content,
};

/// The events of the watched job. The watcher is dropped when the client leaves.
pub(super) fn of(watcher: Watcher) -> Content {
    // One piece at a time: a slow client misses steps, and nothing piles up.
    let (pieces, content) = mpsc::channel(1);
    tokio::spawn(send(watcher, pieces));
    Content::Pieces(content)
}

async fn send(watcher: Watcher, pieces: mpsc::Sender<Bytes>) {
    let job = &watcher.job;
    let mut seen = job.seen.subscribe();
    let mut looked = None;
    loop {
        let now = seen.borrow_and_update().clone();
        if pieces.send(event(job, &now, &mut looked)).await.is_err() || now.phase.is_last() {
            return;
        }
        loop {
            tokio::select! {
                changed = seen.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = pieces.closed() => return,
                () = sleep(COMMENT_EVERY) => if pieces.send(Bytes::from_static(b": still here\n\n")).await.is_err() {
                    return;
                },
            }
        }
    }
}

/// What has happened; pictures that were sent already (of the step `looked`) are left out.
fn event(job: &Job, seen: &Seen, looked: &mut Option<usize>) -> Bytes {
    let mut facts = job.facts(&seen.phase);
    if let (Phase::Drawing { .. }, Some((step, looks))) = (&seen.phase, &seen.looks)
        && *looked != Some(*step)
    {
        facts["looks"] = json!({ "step": step, "pictures": in_base64(looks) });
        *looked = Some(*step);
    }
    format!("event: {}\ndata: {facts}\n\n", seen.phase.name()).into()
}

fn in_base64(pictures: &Arc<[Png]>) -> Vec<Value> {
    pictures.iter().map(|png| BASE64_STANDARD.encode(png).into()).collect()
}
