//! The drawing: every rank a run of the batches, and what they have drawn put together.

use std::{
    ops::{ControlFlow, Range},
    sync::atomic::Ordering,
};

use anyhow::{Context, Result};
use sfumato_kernels::Backend;
use sfumato_model::{Model, ModelError, Step, sampling::SamplePlan};
use sfumato_process::sampler::SampleError;

use super::{Sampling, set::Batch};
use crate::{group, progress::SampleProgress};

/// Frames of the animation.
const GIF_FRAMES: usize = 50;

/// What was drawn, with what was there before.
#[derive(Default)]
pub(super) struct Drawn {
    pub(super) samples: Vec<f32>,
    /// States of the first batch on the way, if an animation is wanted.
    pub(super) frames: Vec<Vec<f32>>,
}

impl Sampling<'_> {
    /// The samples in `done`, of which there are `there`, and those after them, on rank 0. Every rank draws a run of the batches that one
    /// would draw, so that every sample has the same bits; what comes after a batch that is missing is left out.
    pub(super) fn draw_together<B: Backend>(
        &self,
        plan: &SamplePlan<'_>,
        done: Vec<f32>,
        there: usize,
        device: &B::Device,
    ) -> Result<Drawn> {
        let ranks = self.ranks;
        let batches = self.set.batches(there, plan.batch_size);
        let count = batches.len();
        if count < ranks.size() {
            say!(
                "note: {} of {} samples for {} ranks: a smaller --batch-size gives each of them some",
                if count == 1 { "one batch".to_owned() } else { format!("{count} batches") },
                plan.batch_size,
                ranks.size()
            );
        }
        let own = &batches[run_of(count, ranks.size(), ranks.rank())];
        let drawn = if own.is_empty() {
            Ok(Drawn { samples: done, ..Drawn::default() })
        } else {
            Model::<B>::load(self.model.clone(), device)
                .map_err(Into::into)
                .map(|model| model.in_precision(self.args.machine.precision()))
                .and_then(|model| self.draw(&model, plan, own, &done))
        };
        let mut drawn = group::together(ranks, drawn)?;
        if ranks.is_alone() {
            return Ok(drawn);
        }
        let size = self.shape.iter().product::<usize>();
        let words: Vec<u8> = drawn.samples.iter().flat_map(|value| value.to_le_bytes()).collect();
        for (rank, words) in ranks.gather(&words).iter().enumerate() {
            if rank > 0 {
                let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                drawn.samples.extend(words.chunks_exact(4).map(value));
            }
            let end = run_of(count, ranks.size(), rank).end;
            let end = there + batches[..end].iter().map(|batch| batch.range.len()).sum::<usize>();
            if drawn.samples.len() < end * size {
                break;
            }
        }
        anyhow::ensure!(
            !ranks.leads() || drawn.samples.len() > there * size,
            "stopped before a batch was drawn: nothing was written"
        );
        Ok(drawn)
    }

    /// The samples in `done` and those of `batches` after them; only some of these if it is asked to stop meanwhile.
    fn draw<B: Backend>(
        &self,
        model: &Model<B>,
        plan: &SamplePlan<'_>,
        batches: &[Batch],
        done: &[f32],
    ) -> Result<Drawn> {
        let progress = SampleProgress::new((batches.len() * plan.origin.moves(plan.sampler.steps())) as u64);
        let every = plan.origin.moves(plan.sampler.steps()).div_ceil(GIF_FRAMES);
        let stop = |now: bool| if now { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = || self.stop.load(Ordering::SeqCst);
        let (all, indices) = (self.set.series(), self.set.indices);
        let mut drawn = Drawn { samples: done.to_vec(), frames: Vec::new() };
        // Batches of a series one after the other, for which filters are transformed once.
        for run in batches.chunk_by(|a, b| a.series == b.series) {
            let series = run[0].series;
            let plan = all[series].plan(plan, run[0].range.start..run[run.len() - 1].range.end);
            let Drawn { samples, frames } = &mut drawn;
            let mut observe = |state: Step<'_>| {
                let place = |index: usize| series * indices.num + index - indices.first;
                let (first, last) = (place(state.first), place((state.first + plan.batch_size).min(plan.num)));
                progress.step(&format!("samples {}–{last} of {}", first + 1, self.set.len()));
                let wanted = state.done.is_multiple_of(every) || state.done == state.total;
                if self.args.gif && first == 0 && wanted {
                    frames.push(state.state());
                }
                // A batch that is finished is kept.
                stop(stopped() && state.done < state.total)
            };
            let mut keep = |batch: Vec<f32>| {
                samples.extend(batch);
                stop(stopped())
            };
            let result = model.draw(&plan, &mut observe, &mut keep);
            match result {
                Err(ModelError::Sample(SampleError::Stopped { .. }))
                    if drawn.samples.len() > done.len() || !self.ranks.is_alone() => {}
                result => {
                    result.inspect_err(|_| progress.finish()).context("nothing was written")?;
                }
            }
            if stopped() {
                break;
            }
        }
        progress.finish();
        Ok(drawn)
    }
}

/// Part `i` of so many things in `parts` consecutive parts.
fn run_of(count: usize, parts: usize, i: usize) -> Range<usize> {
    let start = |i: usize| i * (count / parts) + i.min(count % parts);
    start(i)..start(i + 1)
}
