//! One request for pictures, from its arrival to its end.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::settings::Settings;

/// A picture as the bytes of a PNG file.
pub(super) type Png = Arc<[u8]>;

/// How far a job is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Others come first: how many, with the one that is being drawn.
    Waiting { ahead: usize },
    /// Steps done; 0 before the first.
    Drawing { done: usize },
    /// The pictures are there.
    Done(Arc<Drawn>),
    /// It could not be drawn, for this reason.
    Failed(String),
    /// Somebody asked for its end, or everybody who watched it has left.
    Cancelled,
}

impl Phase {
    /// Whether nothing comes after it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Cancelled)
    }

    /// Its name, which is that of its event.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Drawing { .. } => "step",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a job has led to.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) pictures: Vec<Png>,
    /// Time of the drawing.
    pub(super) seconds: f64,
    /// Numbers that are NaN or infinite, which are drawn black or white.
    pub(super) lost: usize,
}

/// What a watcher sees of a job: always the newest, so that a slow one misses steps and keeps nothing waiting.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) phase: Phase,
    /// Small pictures of what is emerging, and the step that they show.
    pub(super) looks: Option<(usize, Arc<[Png]>)>,
}

/// A request for pictures.
#[derive(Debug)]
pub(super) struct Job {
    /// Not to be guessed: a page of another site that knew it could end the job.
    pub(super) id: String,
    pub(super) client: String,
    pub(super) settings: Settings,
    pub(super) seen: watch::Sender<Seen>,
    cancelled: AtomicBool,
    watchers: AtomicUsize,
}

impl Job {
    pub(super) fn new(client: &str, settings: Settings) -> Self {
        // The standard library seeds its hashes from the system's random numbers.
        let id = format!("{:016x}", RandomState::new().hash_one(client));
        let seen = Seen { phase: Phase::Waiting { ahead: 0 }, looks: None };
        Self {
            id,
            client: client.to_owned(),
            settings,
            seen: watch::Sender::new(seen),
            cancelled: AtomicBool::new(false),
            watchers: AtomicUsize::new(0),
        }
    }

    /// Asks for its end at the next step.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// One more watches it.
    pub(super) fn come(&self) {
        self.watchers.fetch_add(1, Ordering::SeqCst);
    }

    /// One who has watched it leaves; whether that was the last one.
    pub(super) fn leave(&self) -> bool {
        self.watchers.fetch_sub(1, Ordering::SeqCst) == 1
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::SeqCst) > 0
    }

    pub(super) fn phase(&self) -> Phase {
        self.seen.borrow().phase.clone()
    }

    /// Puts it into another phase, unless it has ended.
    pub(super) fn turn_to(&self, phase: Phase) {
        self.seen.send_if_modified(|seen| {
            let open = !seen.phase.is_last();
            if open {
                let looks = if phase.is_last() { None } else { seen.looks.take() };
                *seen = Seen { phase, looks };
            }
            open
        });
    }

    /// What there is to say about `phase` of this job.
    pub(super) fn facts(&self, phase: &Phase) -> Value {
        match phase {
            Phase::Waiting { ahead } => json!({ "ahead": ahead }),
            Phase::Drawing { done } => json!({ "done": done, "total": self.settings.steps }),
            Phase::Done(drawn) => {
                let mut notes = self.settings.notes.clone();
                if drawn.lost > 0 {
                    notes.push(format!("{} numbers of the pictures are NaN or infinite", drawn.lost));
                }
                json!({
                    "seconds": drawn.seconds,
                    "pictures": (0..drawn.pictures.len()).map(|i| format!("/jobs/{}/{i}.png", self.id)).collect::<Vec<_>>(),
                    "settings": self.settings.described,
                    "notes": notes,
                })
            }
            Phase::Failed(error) => json!({ "error": error }),
            Phase::Cancelled => json!({}),
        }
    }
}
