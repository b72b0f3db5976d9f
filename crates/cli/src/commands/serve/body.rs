//! Reading what a client sends: not too much, and not for too long.

use http_body_util::BodyExt;
use hyper::{
    StatusCode,
    body::{Body, Incoming},
};
use tokio::time::timeout;

use super::{
    guard::Refusal,
    limits::{BODY, BODY_TIME, DRAINED},
};

/// The body of a request.
///
/// # Errors
/// 413 if it is too long, 408 if it does not come, 400 if it breaks off.
pub(super) async fn read(incoming: Incoming) -> Result<Vec<u8>, Refusal> {
    let late = (StatusCode::REQUEST_TIMEOUT, "the body has not come in time".to_owned());
    timeout(BODY_TIME, collected(incoming)).await.map_err(|_| late)?
}

async fn collected(mut incoming: Incoming) -> Result<Vec<u8>, Refusal> {
    let too_long = (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {BODY} bytes"));
    if incoming.size_hint().lower() > DRAINED as u64 {
        return Err(too_long);
    }
    let (mut bytes, mut come) = (Vec::new(), 0);
    while let Some(frame) = incoming.frame().await {
        let broken = |error: hyper::Error| (StatusCode::BAD_REQUEST, format!("the body broke off: {error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        come += data.len();
        if come > DRAINED {
            return Err(too_long);
        }
        // A client that is still writing would not see an answer: what is too much is read all the same, and dropped.
        if come > BODY {
            bytes.clear();
        } else {
            bytes.extend_from_slice(&data);
        }
    }
    if come > BODY { Err(too_long) } else { Ok(bytes) }
}
