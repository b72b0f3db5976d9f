//! The likelihood of many examples: each on paths with steps of their own, and the network asked for many paths at a time.

use std::{collections::VecDeque, f64::consts::TAU, ops::ControlFlow};

use sfumato_schedule::NoiseSchedule;

use super::{
    ExampleLikelihood, Field, FlowError, FlowLikelihood, FlowPlan, Query, Steps, Trace,
    drift::{Drift, Span},
    result::PathTerms,
    solver::{Path, TooShort},
    start::{decoded, start},
};
use crate::{Chain, NoiseLevel, Parameterization, bound::Examples};

/// What an observer sees after each round of evaluations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowProgress {
    /// Examples that are done, with all before them.
    pub examples: usize,
    /// Evaluations of the network so far.
    pub evaluations: u64,
    /// How much of all paths' way is done, in `0..=1`.
    pub share: f64,
}

/// The negative log-likelihood of `examples` by the probability-flow ODE of `chain`'s trained steps.
///
/// `field` is asked about `batch_size` rows at a time. No path depends on the others: each has its own steps, and the result depends on the batch size only by the network's
/// rounding. What is done to the chain's predictions of `x_0` (clipping) counts for the decoder of [`Start::FirstStep`](super::Start::FirstStep) alone:
/// the flow is that of the network as it is.
///
/// Where `observe` breaks off, the result is that of the first examples that are complete by then.
///
/// # Errors
/// [`FlowError`]: nothing to average, a network without gradients or with answers that are not finite, a tolerance that is too small, or
/// [`FlowError::Stopped`] if `observe` breaks off before an example is complete.
pub fn estimate_flow(
    chain: &Chain,
    field: &dyn Field,
    plan: &FlowPlan,
    examples: &dyn Examples,
    batch_size: usize,
    observe: &mut dyn FnMut(FlowProgress) -> ControlFlow<()>,
) -> Result<FlowLikelihood, FlowError> {
    plan.check(examples.len())?;
    let schedule = chain.trained_schedule();
    if chain.steps() != schedule.steps() {
        return Err(FlowError::Respaced { steps: chain.steps(), trained: schedule.steps() });
    }
    let dimensions = examples.shape().iter().product();
    let run = Run { chain, schedule, field, plan, examples, dimensions, span: Span::of(schedule), batch_size };
    let each = run.all(observe)?;
    let stopped = FlowError::Stopped { done: 0, total: examples.len() };
    FlowLikelihood::of(each, dimensions, plan.start).ok_or(stopped)
}

struct Run<'a> {
    chain: &'a Chain,
    schedule: &'a NoiseSchedule,
    field: &'a dyn Field,
    plan: &'a FlowPlan,
    examples: &'a dyn Examples,
    dimensions: usize,
    span: Span,
    batch_size: usize,
}

/// A path that is being followed.
struct Traveller {
    /// Its place among the examples, the example's id, and which of its paths it is.
    place: usize,
    example: usize,
    draw: usize,
    path: Path,
    /// Its probes, unless they are the axes.
    probes: Vec<f32>,
    offset: f64,
    evaluations: u64,
}

/// Examples whose paths are under way or done, from the first that is not complete.
struct Ledger {
    first: usize,
    paths: VecDeque<Vec<Option<PathTerms>>>,
    each: Vec<ExampleLikelihood>,
}

impl Run<'_> {
    fn all(
        &self,
        observe: &mut dyn FnMut(FlowProgress) -> ControlFlow<()>,
    ) -> Result<Vec<ExampleLikelihood>, FlowError> {
        let total = self.examples.len() * self.plan.draws;
        let at_a_time = (self.batch_size / self.rows()).max(1);
        let mut ledger = Ledger { first: 0, paths: VecDeque::new(), each: Vec::new() };
        let mut travellers: Vec<Traveller> = Vec::new();
        let (mut begun, mut done, mut evaluations) = (0, 0, 0);
        loop {
            let more = (at_a_time - travellers.len()).min(total - begun);
            travellers.extend(self.begin(begun..begun + more, &mut ledger)?);
            begun += more;
            evaluations += self.round(&mut travellers)?;
            for traveller in travellers.extract_if(.., |traveller| traveller.path.wanted().is_none()) {
                done += 1;
                ledger.enter(&traveller, self.terms(&traveller), self.examples);
            }
            let under_way: f64 = travellers.iter().map(|traveller| traveller.path.share()).sum();
            let share = (done as f64 + under_way) / total as f64;
            let progress = FlowProgress { examples: ledger.each.len(), evaluations, share };
            if done == total || observe(progress).is_break() {
                return Ok(ledger.each);
            }
        }
    }

    /// Rows of a path.
    fn rows(&self) -> usize {
        self.plan.trace.rows(self.dimensions).max(1)
    }

    /// The paths at these places among all, at their beginning.
    fn begin(&self, paths: std::ops::Range<usize>, ledger: &mut Ledger) -> Result<Vec<Traveller>, FlowError> {
        let (mut all_x_0, mut all_x_1) = (Vec::new(), Vec::new());
        let mut begun = Vec::with_capacity(paths.len());
        for (place, draw) in paths.map(|i| (i / self.plan.draws, i % self.plan.draws)) {
            ledger.expect(place, self.plan.draws);
            let example = self.examples.id(place);
            let mut x_0 = vec![0.0; self.dimensions];
            self.examples.write(place, &mut x_0);
            let (x_1, offset) = start(self.plan, self.schedule, &x_0, example, draw);
            all_x_0.extend(x_0);
            all_x_1.extend(&x_1);
            let path = Path::new(self.plan.solver, self.span.ends, x_1, self.plan.trace.estimates());
            let probes = self.probes(example, draw);
            begun.push(Traveller { place, example, draw, path, probes, offset, evaluations: 0 });
        }
        let ids: Vec<usize> = begun.iter().map(|traveller| traveller.example).collect();
        let decoded = decoded(self.plan, self.chain, self.field, (&all_x_0, &all_x_1), &ids)?;
        begun.iter_mut().zip(decoded).for_each(|(traveller, nats)| traveller.offset += nats);
        Ok(begun)
    }

    /// The probes of a path; none where they are the axes, which would be many.
    fn probes(&self, example: usize, draw: usize) -> Vec<f32> {
        let Trace::Probes { count, .. } = self.plan.trace else { return Vec::new() };
        let mut probes = vec![0.0; count * self.dimensions];
        for (row, out) in probes.chunks_exact_mut(self.dimensions).enumerate() {
            self.plan.trace.fill(self.plan.seed, example, draw, row, out);
        }
        probes
    }

    /// One slope for every path that wants one. Gives the number of evaluations.
    fn round(&self, travellers: &mut [Traveller]) -> Result<u64, FlowError> {
        let rows = self.rows();
        let wanted: Vec<(f64, Vec<f64>)> =
            travellers.iter().filter_map(|traveller| traveller.path.wanted().map(|(s, x)| (s, x.to_vec()))).collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        let levels: Vec<NoiseLevel> = wanted.iter().map(|(s, _)| self.span.level(*s)).collect();
        let mut outputs = vec![Vec::new(); wanted.len()];
        let mut products = vec![Vec::with_capacity(rows); wanted.len()];
        let all: Vec<(usize, usize)> = (0..wanted.len()).flat_map(|i| (0..rows).map(move |row| (i, row))).collect();
        let under_way: Vec<&Traveller> = travellers.iter().filter(|t| t.path.wanted().is_some()).collect();
        for batch in all.chunks(self.batch_size.max(1)) {
            let x: Vec<f64> = batch.iter().flat_map(|(i, _)| &wanted[*i].1).copied().collect();
            let batch_levels: Vec<NoiseLevel> = batch.iter().map(|(i, _)| levels[*i]).collect();
            let probes = self.directions(&under_way, batch);
            let ids: Vec<usize> = batch.iter().map(|(i, _)| under_way[*i].example).collect();
            let query = Query { x: &x, levels: &batch_levels, probes: &probes, examples: &ids };
            let answers = self.field.ask(&query)?;
            for ((i, row), (output, product)) in
                batch.iter().zip(answers.output.chunks_exact(self.dimensions).zip(answers.products))
            {
                if *row == 0 {
                    outputs[*i] = output.to_vec();
                }
                products[*i].push(product);
            }
        }
        let under_way = travellers.iter_mut().filter(|traveller| traveller.path.wanted().is_some());
        for ((traveller, level), (output, products)) in under_way.zip(levels).zip(outputs.into_iter().zip(products)) {
            let slope = self.slope(traveller, level, &output, &products)?;
            traveller.evaluations += rows as u64;
            traveller.path.give(slope).map_err(|error| self.too_short(traveller.example, error))?;
        }
        Ok(all.len() as u64)
    }

    /// The directions of these rows.
    fn directions(&self, travellers: &[&Traveller], batch: &[(usize, usize)]) -> Vec<f32> {
        let d = self.dimensions;
        let mut directions = vec![0.0; batch.len() * d];
        for ((i, row), out) in batch.iter().zip(directions.chunks_exact_mut(d)) {
            let Traveller { example, draw, probes, .. } = travellers[*i];
            match self.plan.trace {
                Trace::Exact => self.plan.trace.fill(self.plan.seed, *example, *draw, *row, out),
                Trace::Probes { .. } => out.copy_from_slice(&probes[row * d..(row + 1) * d]),
            }
        }
        directions
    }

    /// The slope of a path, from what the network says.
    fn slope(
        &self,
        traveller: &Traveller,
        level: NoiseLevel,
        output: &[f64],
        products: &[f64],
    ) -> Result<Vec<f64>, FlowError> {
        if let Some(&value) = output.iter().chain(products).find(|value| !value.is_finite()) {
            let (example, log_snr) = (traveller.example, level.log_snr());
            return Err(FlowError::NotFinite { example, log_snr, value });
        }
        let drift = Drift::at(self.parameterization(), level);
        let x = traveller.path.wanted().map_or(&[][..], |(_, x)| x);
        let mut slope: Vec<f64> = output.iter().zip(x).map(|(&output, &x)| drift.slope(output, x)).collect();
        let traces = self.plan.trace.of_products(products);
        slope.extend(traces.into_iter().map(|trace| drift.divergence(trace, self.dimensions)));
        Ok(slope)
    }

    fn parameterization(&self) -> Parameterization {
        self.chain.parameterization()
    }

    fn too_short(&self, example: usize, TooShort { s }: TooShort) -> FlowError {
        let tolerance = match self.plan.solver.steps {
            Steps::Adaptive { tolerance } => tolerance,
            Steps::Fixed(_) => f64::NAN,
        };
        FlowError::StepTooShort { example, log_snr: -s, tolerance }
    }

    /// What a path that is at its end gives.
    fn terms(&self, traveller: &Traveller) -> PathTerms {
        let (x, integrals) = traveller.path.state();
        let squares: f64 = x.iter().map(|x| x * x).sum();
        let count = integrals.len() as f64;
        let mean = integrals.iter().sum::<f64>() / count;
        let spread: f64 = integrals.iter().map(|integral| (integral - mean).powi(2)).sum();
        PathTerms {
            prior: 0.5 * (x.len() as f64 * TAU.ln() + squares),
            volume: -mean,
            offset: traveller.offset,
            probe_error: match self.plan.trace {
                Trace::Exact => Some(0.0),
                Trace::Probes { count: 1, .. } => None,
                Trace::Probes { .. } => Some((spread / (count - 1.0) / count).sqrt()),
            },
            solver_error: traveller.path.error(),
            evaluations: traveller.evaluations,
        }
    }
}

impl Ledger {
    /// Makes room for the paths of the example at `place`.
    fn expect(&mut self, place: usize, draws: usize) {
        while self.first + self.paths.len() <= place {
            self.paths.push_back(vec![None; draws]);
        }
    }

    /// Enters a path, and closes the examples that are complete with all before them.
    fn enter(&mut self, traveller: &Traveller, terms: PathTerms, examples: &dyn Examples) {
        self.paths[traveller.place - self.first][traveller.draw] = Some(terms);
        while let Some(paths) = self.paths.front() {
            let Some(complete) = paths.iter().copied().collect::<Option<Vec<PathTerms>>>() else { break };
            self.each.push(ExampleLikelihood::of(examples.id(self.first), &complete));
            self.first += 1;
            self.paths.pop_front();
        }
    }
}
