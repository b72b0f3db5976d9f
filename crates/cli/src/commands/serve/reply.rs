//! Answers: their bodies, and the headers that all of them have.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, SizeHint},
    header::{self, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Nothing is fetched from elsewhere, no other page shows it in a frame, and nothing stays in a cache.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src 'self' data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// An answer.
pub(super) type Reply = Response<Content>;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Whole(Option<Bytes>),
    /// Pieces that come one by one. When the client leaves, the receiver is dropped, which the sender notices.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(pieces) => pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// An answer of this kind with this body.
pub(super) fn answer(status: StatusCode, kind: &'static str, content: Content) -> Reply {
    let mut reply = Response::new(content);
    *reply.status_mut() = status;
    for (name, value) in HEADERS {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// JSON, with an end of line for terminals.
pub(super) fn json_of(status: StatusCode, value: &Value) -> Reply {
    answer(status, "application/json", Content::Whole(Some(format!("{value}\n").into())))
}

/// `{"error": …}`.
pub(super) fn error(status: StatusCode, message: &str) -> Reply {
    json_of(status, &json!({ "error": message }))
}

/// A picture.
pub(super) fn picture(png: &Arc<[u8]>) -> Reply {
    answer(StatusCode::OK, "image/png", Content::Whole(Some(Bytes::from_owner(Arc::clone(png)))))
}

/// Adds a header; a value that is none is left out.
pub(super) fn with(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}
