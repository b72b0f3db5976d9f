//! Scores of a run in progress, and the lines of metrics that they stand in.

use std::{ops::ControlFlow, sync::atomic::Ordering};

use burn::module::AutodiffModule;
use sfumato_data::Dataset;
use sfumato_kernels::AutodiffBackend;
use sfumato_model::{Blueprint, pipeline::PipelineSpec};
use sfumato_nets::Network;
use sfumato_process::bound::BoundError;

use super::{Run, Session};
use crate::{
    Metrics, TrainError, Watch,
    held_out::{Measured, MeasuredOn, Score, Scorer, best},
    spec::unlabelled,
};

/// A run that ends before this part of the steps between two scores is not scored: its score would take longer than its training.
const SHORTEST: u64 = 4;

/// What a run scores its model on.
pub(super) struct Scorers<'a> {
    /// Steps between two scores.
    every: u64,
    held_out: Scorer<'a>,
    /// As many examples that are trained on.
    training: Scorer<'a>,
    on: MeasuredOn,
}

impl<'a> Scorers<'a> {
    /// None where nothing is held out, or no score is wanted.
    pub(super) fn new(run: &Run<'a>, spec: &PipelineSpec, steps: usize) -> Result<Option<Self>, TrainError> {
        let (every, examples) = run.config.scoring()?;
        let Some(data) = run.held_out.filter(|_| every > 0) else { return Ok(None) };
        let chain = spec.scheduler.evenly_spaced_chain(steps)?;
        let scorer =
            |data: &'a dyn Dataset| Scorer::new(chain.clone(), data, examples, run.config.seed, unlabelled(spec));
        let (held_out, training) = (scorer(data), scorer(run.data));
        let on = MeasuredOn {
            sha256: data.sha256().to_owned(),
            of: data.len(),
            examples: held_out.examples(),
            seed: run.config.seed,
            precision: run.config.training.precision,
        };
        Ok(Some(Self { every, held_out, training, on }))
    }
}

/// Both scores of a model.
struct Scores {
    held_out: Score,
    training: Score,
}

/// What came of scoring.
enum Scored {
    Yes(Box<Scores>),
    /// Asked to stop meanwhile.
    Stopped,
    No,
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// Scores the model where it is due, and writes a line of metrics where one is due or there is a score; gives the line.
    ///
    /// If the run is asked to stop meanwhile the line waits: the run that goes on begins with the score.
    pub(super) fn record<const D: usize>(
        &mut self,
        model: &P::Net<A>,
        last: bool,
        watch: &mut dyn Watch,
    ) -> Result<Option<Metrics>, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
        P::Net<A::InnerBackend>: Network<A::InnerBackend, D>,
    {
        let step = self.state.step;
        let due = last || step.is_multiple_of(self.run.config.training.log_every);
        let scores = match self.score(model, last, watch) {
            Scored::Stopped => return Ok(None),
            Scored::Yes(scores) => Some(*scores),
            Scored::No => None,
        };
        if !due && scores.is_none() {
            return Ok(None);
        }
        let metrics = self.log(scores.map(|Scores { held_out, training }| (held_out, training)))?;
        watch.metrics(&metrics);
        Ok(Some(metrics))
    }

    /// Whether a run that goes on was stopped before the score of its step.
    pub(super) fn owes_a_score(&self) -> bool {
        self.run.from.is_some() && self.window.steps > 0 && self.score_is_due(false)
    }

    fn score_is_due(&self, last: bool) -> bool {
        let step = self.state.step;
        self.score_is_due_at(step)
            || last && self.scorers.as_ref().is_some_and(|scorers| step.saturating_mul(SHORTEST) >= scorers.every)
    }

    /// Whether the model is scored after `step`, were it not the last.
    pub(super) fn score_is_due_at(&self, step: u64) -> bool {
        self.scorers.as_ref().is_some_and(|scorers| step.is_multiple_of(scorers.every))
    }

    fn score<const D: usize>(&mut self, model: &P::Net<A>, last: bool, watch: &mut dyn Watch) -> Scored
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
        P::Net<A::InnerBackend>: Network<A::InnerBackend, D>,
    {
        let (Some(scorers), true) = (&self.scorers, self.score_is_due(last)) else { return Scored::No };
        let net = self.optimizer.averaged(model.valid());
        let total = scorers.held_out.evaluations() + scorers.training.evaluations();
        let mut before = 0;
        let mut scores = Vec::new();
        for scorer in [&scorers.held_out, &scorers.training] {
            let mut observe = |done: usize| {
                watch.scoring(before + done, total);
                // After the last step nothing goes on that could make up for it.
                let stop = !last && self.run.stop.load(Ordering::SeqCst);
                if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match scorer.score::<A::InnerBackend, _, D>(&net, self.device, &mut observe) {
                Ok(score) => scores.push(score),
                Err(BoundError::Stopped { .. }) => return Scored::Stopped,
                // A score is no reason to end a run.
                Err(error) => {
                    watch.warn(&format!("the model of step {} has no held-out score: {error}", self.state.step));
                    return Scored::No;
                }
            }
            before = scorers.held_out.evaluations();
        }
        let (Some(training), Some(held_out)) = (scores.pop(), scores.pop()) else { return Scored::No };
        self.measured = Some((self.state.step, Measured { score: held_out.clone(), on: scorers.on.clone() }));
        Scored::Yes(Box::new(Scores { held_out, training }))
    }

    /// The score of the model as it is now, if it has one.
    pub(super) fn measured_now(&self) -> Option<&Measured> {
        self.measured.as_ref().filter(|(step, _)| *step == self.state.step).map(|(_, measured)| measured)
    }

    /// Whether the model has a better score than every checkpoint that can be compared with it, and is to be kept for that.
    pub(super) fn is_best(&self) -> Result<bool, TrainError> {
        let (Some(now), true) = (self.measured_now(), self.run.config.training.keep_best) else { return Ok(false) };
        let found = self.run.dir.find_checkpoints()?.complete;
        let before = best(&found).and_then(|found| crate::held_out::read(&found.path));
        Ok(before.is_none_or(|before| before.on != now.on || now.score.bits_per_dim < before.score.bits_per_dim))
    }
}
