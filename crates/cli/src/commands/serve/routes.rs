//! The addresses of the server, and what is behind each.

use std::{net::IpAddr, sync::Arc};

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Incoming,
    header::{ACCEPT, ALLOW, HeaderName, LOCATION, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    body, events,
    guard::{self, Refusal, only},
    job::{Job, Phase},
    jobs::{Full, Jobs, Watcher},
    page,
    reply::{Content, Reply, answer, error, json_of, picture, with},
    served::Served,
    settings::Settings,
};

/// Who asks, where several share an address: the page names itself, so that every open page has a turn.
const CLIENT: HeaderName = HeaderName::from_static("x-client");
/// Longest name of a client.
const LONGEST_CLIENT: usize = 64;
/// When to try again where too many jobs wait, in seconds.
const AGAIN: &str = "5";

/// What all answers come from.
pub(super) struct Site {
    pub(super) served: Served,
    /// The answer to `GET /model`.
    pub(super) facts: Value,
    /// Where the server listens.
    pub(super) address: IpAddr,
    pub(super) jobs: Arc<Jobs>,
}

/// What an address stands for.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Page,
    Model,
    Sample,
    Job(&'a str),
    Events(&'a str),
    Picture(&'a str, usize),
}

impl<'a> Place<'a> {
    /// Paths are compared as they come: there are no files behind them, and nothing in them is decoded.
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/" => return Some(Self::Page),
            "/model" => return Some(Self::Model),
            "/sample" => return Some(Self::Sample),
            _ => {}
        }
        let (id, rest) = match path.strip_prefix("/jobs/")?.split_once('/') {
            Some((id, rest)) => (id, Some(rest)),
            None => (path.strip_prefix("/jobs/")?, None),
        };
        match rest {
            None => Some(Self::Job(id)),
            Some("events") => Some(Self::Events(id)),
            Some(name) => {
                let number = name.strip_suffix(".png")?;
                number.bytes().all(|digit| digit.is_ascii_digit()).then_some(())?;
                Some(Self::Picture(id, number.parse().ok()?))
            }
        }
    }

    /// The methods that it knows.
    fn methods(&self) -> &'static str {
        match self {
            Self::Sample => "POST",
            Self::Job(_) => "GET, HEAD, DELETE",
            _ => "GET, HEAD",
        }
    }
}

/// The answer to a request; `peer` is the address that it comes from.
pub(super) async fn answered(site: &Site, peer: IpAddr, request: Request<Incoming>) -> Reply {
    match routed(site, peer, request).await {
        Ok(reply) => reply,
        Err((status, message)) => error(status, &message),
    }
}

async fn routed(site: &Site, peer: IpAddr, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (head, incoming) = request.into_parts();
    let headers = &head.headers;
    guard::check_host(headers, site.address)?;
    let Some(place) = Place::of(head.uri.path()) else {
        return Err((StatusCode::NOT_FOUND, "there is nothing at this address".to_owned()));
    };
    let is_head = head.method == Method::HEAD;
    match (&place, &head.method) {
        (Place::Sample, &Method::POST) => {
            guard::check_origin(headers)?;
            guard::check_type(headers)?;
            let body = body::read(incoming).await?;
            sample(site, &client(headers, peer), wants_picture(headers), &body).await
        }
        (Place::Job(id), &Method::DELETE) => {
            guard::check_origin(headers)?;
            let job = found(site, id)?;
            Ok(delete(site, &job))
        }
        (Place::Sample, _) => Ok(not_allowed(&place)),
        (_, &Method::GET | &Method::HEAD) => get(site, &place, is_head),
        _ => Ok(not_allowed(&place)),
    }
}

fn get(site: &Site, place: &Place<'_>, is_head: bool) -> Result<Reply, Refusal> {
    match place {
        Place::Page => {
            Ok(answer(StatusCode::OK, "text/html; charset=utf-8", Content::Whole(Some(page::whole().into()))))
        }
        Place::Model => Ok(json_of(StatusCode::OK, &site.facts)),
        Place::Job(id) => {
            let job = found(site, id)?;
            Ok(json_of(StatusCode::OK, &state(&job, &job.phase())))
        }
        Place::Events(id) => {
            let job = found(site, id)?;
            // Whoever asks for the head alone does not watch.
            let pieces = if is_head { Content::Whole(None) } else { events::of(Watcher::new(&site.jobs, job)) };
            Ok(answer(StatusCode::OK, "text/event-stream", pieces))
        }
        Place::Picture(id, index) => {
            let job = found(site, id)?;
            let Phase::Done(drawn) = job.phase() else {
                return Err((StatusCode::NOT_FOUND, format!("the job is not done: it is {}", job.phase().name())));
            };
            let png = drawn.pictures.get(*index).ok_or_else(|| {
                (StatusCode::NOT_FOUND, format!("the job has the pictures 0 to {}", drawn.pictures.len() - 1))
            })?;
            Ok(picture(png))
        }
        Place::Sample => Ok(not_allowed(place)),
    }
}

fn not_allowed(place: &Place<'_>) -> Reply {
    let methods = place.methods();
    with(error(StatusCode::METHOD_NOT_ALLOWED, &format!("this address knows the methods {methods}")), ALLOW, methods)
}

fn found(site: &Site, id: &str) -> Result<Arc<Job>, Refusal> {
    site.jobs.find(id).ok_or((StatusCode::NOT_FOUND, "there is no such job, or it ended long ago".to_owned()))
}

/// Who asks.
fn client(headers: &HeaderMap, peer: IpAddr) -> String {
    let named = only(headers, CLIENT).filter(|name| !name.is_empty() && name.len() <= LONGEST_CLIENT);
    named.map_or_else(|| peer.to_string(), str::to_owned)
}

/// Whether the client wants the picture itself as the answer.
fn wants_picture(headers: &HeaderMap) -> bool {
    let kinds = only(headers, ACCEPT).unwrap_or_default().split(',');
    kinds
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .any(|kind| kind.eq_ignore_ascii_case("image/png"))
}

/// Takes a job; answers with its address at once, or with the picture when it is there.
async fn sample(site: &Site, client: &str, as_picture: bool, body: &[u8]) -> Result<Reply, Refusal> {
    let bad = |message| (StatusCode::BAD_REQUEST, message);
    let settings = Settings::read(body, &site.served).map_err(bad)?;
    if as_picture && settings.num() != 1 {
        return Err(bad(
            "num must be 1 with Accept: image/png; without it the pictures of a job have addresses".to_owned()
        ));
    }
    let job = match site.jobs.submit(client, settings) {
        Ok(job) => job,
        Err(full) => return Ok(refused(&full)),
    };
    if !as_picture {
        let place = format!("/jobs/{}", job.id);
        return Ok(with(json_of(StatusCode::ACCEPTED, &state(&job, &job.phase())), LOCATION, &place));
    }
    // When the client leaves, this function is dropped where it waits, and the watcher with it.
    let watcher = Watcher::new(&site.jobs, job);
    let mut seen = watcher.job.seen.subscribe();
    let phase = match seen.wait_for(|seen| seen.phase.is_last()).await {
        Ok(last) => last.phase.clone(),
        Err(_) => Phase::Cancelled,
    };
    match phase {
        Phase::Done(drawn) => Ok(picture(&drawn.pictures[0])),
        Phase::Failed(reason) => Err((StatusCode::INTERNAL_SERVER_ERROR, reason)),
        _ => Err((StatusCode::SERVICE_UNAVAILABLE, "the job was cancelled".to_owned())),
    }
}

fn refused(full: &Full) -> Reply {
    let (status, message) = match full {
        Full::Queue => (StatusCode::SERVICE_UNAVAILABLE, "too many jobs wait; try again later"),
        Full::Client => {
            (StatusCode::TOO_MANY_REQUESTS, "too many jobs of this client wait; try again when some are done")
        }
        Full::Closed => (StatusCode::SERVICE_UNAVAILABLE, "the server is about to end"),
    };
    with(error(status, message), RETRY_AFTER, AGAIN)
}

/// Ends a job, or forgets one that has ended.
fn delete(site: &Site, job: &Arc<Job>) -> Reply {
    let phase = job.phase();
    let state = if phase.is_last() {
        site.jobs.forget(job);
        phase.name()
    } else {
        site.jobs.cancel(job);
        Phase::Cancelled.name()
    };
    json_of(StatusCode::OK, &json!({ "id": job.id, "state": state }))
}

/// How far a job is, and where to look for more.
fn state(job: &Job, phase: &Phase) -> Value {
    let mut state = json!({
        "id": job.id,
        "state": if let Phase::Drawing { .. } = phase { "drawing" } else { phase.name() },
        "events": format!("/jobs/{}/events", job.id),
        "settings": job.settings.described,
        "notes": job.settings.notes,
    });
    if let (Some(state), Value::Object(facts)) = (state.as_object_mut(), job.facts(phase)) {
        state.extend(facts);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_few_and_lead_to_no_file() {
        for (path, place) in [
            ("/", Place::Page),
            ("/model", Place::Model),
            ("/sample", Place::Sample),
            ("/jobs/a", Place::Job("a")),
            ("/jobs/a/events", Place::Events("a")),
            ("/jobs/a/12.png", Place::Picture("a", 12)),
        ] {
            assert_eq!(Place::of(path), Some(place));
        }
        for path in [
            "",
            "*",
            "//",
            "/index.html",
            "/model/",
            "/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/jobs",
            "/jobs/a/../../etc/passwd",
            "/jobs/a/+1.png",
            "/jobs/a/-1.png",
            "/jobs/a/.png.png",
            "/jobs/a/99999999999999999999999.png",
            "/jobs/a/0.png/",
        ] {
            assert_eq!(Place::of(path), None, "{path}");
        }
    }
}
