//! All jobs: those that wait, the one that is being drawn, and those that have ended lately.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    job::{Job, Phase},
    limits::{KEPT, KEPT_BYTES, KEPT_FOR, WAITING, WAITING_OF_ONE},
    settings::Settings,
    turns::Turns,
};

/// Why a job is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many jobs wait.
    Queue,
    /// Too many jobs of this client wait.
    Client,
    /// The server is about to end.
    Closed,
}

/// The jobs of the server. One is drawn at a time: a second one would only slow down the first.
#[derive(Debug)]
pub(super) struct Jobs {
    state: Mutex<State>,
    come: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: Turns<Arc<Job>>,
    drawing: Option<Arc<Job>>,
    /// All that can be asked for, by their names.
    known: HashMap<String, Arc<Job>>,
    /// Those that have ended, the oldest first.
    ended: VecDeque<Ended>,
    closed: bool,
}

#[derive(Debug)]
struct Ended {
    id: String,
    at: Instant,
    bytes: usize,
}

impl Jobs {
    pub(super) fn new() -> Self {
        let state = State {
            waiting: Turns::new(),
            drawing: None,
            known: HashMap::new(),
            ended: VecDeque::new(),
            closed: false,
        };
        Self { state: Mutex::new(state), come: Condvar::new() }
    }

    /// A panic while it was held leaves nothing half done that matters.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job.
    ///
    /// # Errors
    /// [`Full`] if too many wait.
    pub(super) fn submit(&self, client: &str, settings: Settings) -> Result<Arc<Job>, Full> {
        let mut state = self.state();
        if state.closed {
            return Err(Full::Closed);
        }
        if state.waiting.len() >= WAITING {
            return Err(Full::Queue);
        }
        if state.waiting.len_of(client) >= WAITING_OF_ONE {
            return Err(Full::Client);
        }
        let job = Arc::new(Job::new(client, settings));
        state.known.insert(job.id.clone(), Arc::clone(&job));
        state.waiting.push(client, Arc::clone(&job));
        state.tell_places();
        self.come.notify_one();
        Ok(job)
    }

    /// Waits for the next job; none when the server is to end. The one before has ended.
    pub(super) fn next(&self) -> Option<Arc<Job>> {
        let mut state = self.state();
        state.drawing = None;
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop() {
                state.drawing = Some(Arc::clone(&job));
                job.turn_to(Phase::Drawing { done: 0 });
                state.tell_places();
                return Some(job);
            }
            state = self.come.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job has ended like this.
    pub(super) fn end(&self, job: &Arc<Job>, phase: Phase) {
        self.state().end(job, phase);
    }

    /// Ends a job: at once if it waits, after its step if it is being drawn.
    pub(super) fn cancel(&self, job: &Arc<Job>) {
        job.cancel();
        let mut state = self.state();
        if state.waiting.remove(|waiting| waiting.id == job.id).is_some() {
            state.end(job, Phase::Cancelled);
            state.tell_places();
        }
    }

    /// Forgets a job that has ended, with its pictures.
    pub(super) fn forget(&self, job: &Arc<Job>) {
        let mut state = self.state();
        state.known.remove(&job.id);
        state.ended.retain(|ended| ended.id != job.id);
    }

    /// The job of this name.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Job>> {
        let mut state = self.state();
        state.clear_old();
        state.known.get(id).cloned()
    }

    /// Takes nothing more, and ends everything.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        while let Some(job) = state.waiting.pop() {
            job.cancel();
            state.end(&job, Phase::Cancelled);
        }
        if let Some(job) = &state.drawing {
            job.cancel();
        }
        self.come.notify_all();
    }
}

/// Somebody who waits for a job. When the last one has left before its end, the job is cancelled.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) job: Arc<Job>,
    jobs: Arc<Jobs>,
}

impl Watcher {
    pub(super) fn new(jobs: &Arc<Jobs>, job: Arc<Job>) -> Self {
        job.come();
        Self { job, jobs: Arc::clone(jobs) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.job.leave() && !self.job.phase().is_last() {
            self.jobs.cancel(&self.job);
        }
    }
}

impl State {
    /// Tells every job that waits how many come before it.
    fn tell_places(&self) {
        let drawing = usize::from(self.drawing.is_some());
        for (before, job) in self.waiting.ahead() {
            let ahead = before + drawing;
            job.seen.send_if_modified(|seen| {
                let news = !matches!(seen.phase, Phase::Waiting { ahead: known } if known == ahead);
                seen.phase = Phase::Waiting { ahead };
                news
            });
        }
    }

    fn end(&mut self, job: &Arc<Job>, phase: Phase) {
        let bytes = match &phase {
            Phase::Done(drawn) => drawn.pictures.iter().map(|png| png.len()).sum(),
            _ => 0,
        };
        self.ended.push_back(Ended { id: job.id.clone(), at: Instant::now(), bytes });
        job.turn_to(phase);
        self.clear_old();
    }

    /// Forgets the oldest of those that have ended, as long as they are too many, too large or too old. The last one stays.
    fn clear_old(&mut self) {
        let mut bytes: usize = self.ended.iter().map(|ended| ended.bytes).sum();
        while let Some(oldest) = self.ended.front() {
            let last = self.ended.len() == 1;
            let much = !last && (self.ended.len() > KEPT || bytes > KEPT_BYTES);
            if !much && oldest.at.elapsed() < KEPT_FOR {
                return;
            }
            bytes -= oldest.bytes;
            self.known.remove(&oldest.id);
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::serve::job::Drawn;

    fn done(bytes: usize) -> Phase {
        Phase::Done(Arc::new(Drawn { pictures: vec![vec![0; bytes].into()], seconds: 0.1, lost: 0 }))
    }

    fn submit(jobs: &Jobs, client: &str) -> Result<Arc<Job>, Full> {
        jobs.submit(client, Settings::of_test())
    }

    fn ahead(job: &Job) -> Option<usize> {
        match job.phase() {
            Phase::Waiting { ahead } => Some(ahead),
            _ => None,
        }
    }

    #[test]
    fn places_are_told_and_a_job_that_is_drawn_counts() {
        let jobs = Jobs::new();
        let [a, b] = ["a", "a"].map(|client| submit(&jobs, client).unwrap());
        let c = submit(&jobs, "c").unwrap();
        assert_eq!([&a, &b, &c].map(|job| ahead(job)), [Some(0), Some(2), Some(1)]);
        assert_eq!(jobs.next().unwrap().id, a.id);
        assert_eq!([&a, &b, &c].map(|job| ahead(job)), [None, Some(2), Some(1)]);
        jobs.cancel(&c);
        assert!(matches!(c.phase(), Phase::Cancelled) && ahead(&b) == Some(1));
        // What is being drawn ends when the drawing notices it.
        jobs.cancel(&a);
        assert!(a.is_cancelled() && matches!(a.phase(), Phase::Drawing { .. }));
        jobs.end(&a, Phase::Cancelled);
        jobs.end(&a, done(1));
        assert!(matches!(a.phase(), Phase::Cancelled), "an end is the last thing");
        jobs.close();
        assert!(matches!(b.phase(), Phase::Cancelled) && jobs.next().is_none());
        assert_eq!(submit(&jobs, "a").unwrap_err(), Full::Closed);
    }

    #[test]
    fn the_queue_is_bounded_for_each_client_and_for_all() {
        let jobs = Jobs::new();
        for _ in 0..WAITING_OF_ONE {
            submit(&jobs, "greedy").unwrap();
        }
        assert_eq!(submit(&jobs, "greedy").unwrap_err(), Full::Client);
        for i in WAITING_OF_ONE..WAITING {
            submit(&jobs, &i.to_string()).unwrap();
        }
        assert_eq!(submit(&jobs, "late").unwrap_err(), Full::Queue);
    }

    #[test]
    fn few_ended_jobs_are_kept_and_the_newest_always() {
        let jobs = Jobs::new();
        let mut ids = Vec::new();
        for i in 0..KEPT + 3 {
            let job = submit(&jobs, "a").unwrap();
            jobs.next().unwrap();
            jobs.end(&job, done(if i == KEPT + 2 { KEPT_BYTES + 1 } else { 10 }));
            ids.push(job.id.clone());
            assert!(jobs.find(&job.id).is_some());
            if i == KEPT + 1 {
                assert!(jobs.find(&ids[1]).is_none() && jobs.find(&ids[2]).is_some());
            }
        }
        assert!(jobs.find(&ids[KEPT + 1]).is_none(), "the last one has taken all the room");
        let last = jobs.find(&ids[KEPT + 2]).unwrap();
        jobs.forget(&last);
        assert!(jobs.find(&last.id).is_none());
    }

    #[test]
    fn a_job_that_nobody_watches_any_more_is_cancelled_but_not_one_that_nobody_has_watched() {
        let jobs = Arc::new(Jobs::new());
        let [a, b, c] = ["a", "b", "c"].map(|client| submit(&jobs, client).unwrap());
        let first = Watcher::new(&jobs, Arc::clone(&a));
        let second = Watcher::new(&jobs, Arc::clone(&a));
        drop(first);
        assert!(!a.is_cancelled() && a.is_watched());
        drop(second);
        assert!(a.is_cancelled() && matches!(a.phase(), Phase::Cancelled));
        jobs.next().unwrap();
        jobs.end(&b, done(1));
        drop(Watcher::new(&jobs, Arc::clone(&b)));
        assert!(matches!(b.phase(), Phase::Done(_)) && !c.is_cancelled());
    }
}
