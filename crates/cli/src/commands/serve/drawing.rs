//! The drawing of jobs, one after the other, on the device of the model.

use std::{
    any::Any,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError, Step};
use sfumato_process::sampler::SampleError;

use super::{
    job::{Drawn, Job, Phase},
    jobs::Jobs,
    limits::{LOOK_EVERY, LOOK_SIDE},
    pictures,
};
use crate::provenance::{Provenance, Source};

/// Looks take at most this part of the time: 1 in 10.
const SHARE: u32 = 10;

/// Draws whatever comes until the server ends; the pictures say that they come from `source`.
pub(super) fn draw_all<B: Backend>(model: &Model<B>, jobs: &Jobs, source: &Source) {
    while let Some(job) = jobs.next() {
        // A fault of a driver, or no memory: the next job may be a smaller one.
        let outcome = catch_unwind(AssertUnwindSafe(|| draw(model, &job, source)));
        let phase = match outcome {
            Ok(Ok(drawn)) => Phase::Done(Arc::new(drawn)),
            Ok(Err(error)) if is_stop(&error) => Phase::Cancelled,
            Ok(Err(error)) => Phase::Failed(format!("{error:#}")),
            Err(panic) => Phase::Failed(format!("the drawing broke off: {}", reason(&*panic))),
        };
        if let Phase::Failed(error) = &phase {
            say!("warning: job {} of {}: {error}", job.id, job.client);
        }
        jobs.end(&job, phase);
    }
}

fn is_stop(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ModelError::Sample(SampleError::Stopped { .. })))
}

/// What a panic has said.
fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason was given")
}

fn draw<B: Backend>(model: &Model<B>, job: &Job, source: &Source) -> Result<Drawn> {
    let began = Instant::now();
    let settings = &job.settings;
    let plan = settings.plan(model.pipeline())?;
    let mut values = Vec::new();
    let mut looks = Looks::default();
    let mut observe = |step: Step<'_>| {
        if job.is_cancelled() {
            return ControlFlow::Break(());
        }
        looks.show(job, &step);
        ControlFlow::Continue(())
    };
    let mut keep = |batch: Vec<f32>| {
        values.extend(batch);
        ControlFlow::Continue(())
    };
    model.draw(&plan, &mut observe, &mut keep)?;
    let lost = values.iter().filter(|value| !value.is_finite()).count();
    let made = |i| Provenance::of_sample(settings.of_picture(i, model.pipeline()), i, source);
    let pictures = pictures::whole(&values, settings.shape, made)?;
    Ok(Drawn { pictures, seconds: began.elapsed().as_secs_f64(), lost })
}

/// Shows a job's watchers what is emerging, as often as that costs little.
#[derive(Default)]
struct Looks {
    next: Option<Instant>,
}

impl Looks {
    fn show(&mut self, job: &Job, step: &Step<'_>) {
        let began = Instant::now();
        let due = self.next.is_none_or(|next| began >= next);
        // The pictures themselves follow the last step.
        let wanted = due && step.done < step.total && job.is_watched();
        let made = wanted.then(|| pictures::looks(&step.prediction(), job.settings.shape, LOOK_SIDE));
        let looks = made.and_then(Result::ok).map(|looks| (step.done, looks));
        if wanted {
            self.next = Some(Instant::now() + LOOK_EVERY.max(cost(began)));
        }
        job.seen.send_modify(|seen| {
            seen.phase = Phase::Drawing { done: step.done };
            seen.looks = looks.or_else(|| seen.looks.take());
        });
    }
}

/// How long to wait after work that began then.
fn cost(began: Instant) -> Duration {
    began.elapsed() * SHARE
}
