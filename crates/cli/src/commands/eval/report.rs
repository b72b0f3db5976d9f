//! The result for people, for programs, and as a picture.

use std::{io::Write, path::Path, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use sfumato_data::{Dataset, LoadedDataset};
use sfumato_evaluate::{BoundPlan, Condition, EvalPlan, Order};
use sfumato_model::pipeline::Pipeline;
use sfumato_process::{
    Clipping, VarianceRule,
    bound::{Bound, BoundNoise, Decoder, ExampleTerms, LevelTerm, Mean, Plan, StepTerm},
};

use super::{
    plan::Scored,
    words::{decoder_name, mean_json, resized, row, steps_name, word},
};
use crate::{
    chart::{self, Figure, Panel, Scale, Series},
    environment, say,
};

/// A bound and everything that decided it.
pub(in crate::commands) struct Report<'a> {
    pub(in crate::commands) scored: Scored<'a>,
    pub(in crate::commands) model: &'a Pipeline,
    pub(in crate::commands) weights_sha256: Option<String>,
    pub(in crate::commands) data: &'a LoadedDataset,
    pub(in crate::commands) plan: &'a EvalPlan<'a>,
    pub(in crate::commands) bound: &'a Bound,
}

impl Report<'_> {
    /// The table on stdout.
    pub(super) fn print(&self, elapsed: Duration) -> Result<()> {
        say::result(|out| out.write_all(self.table(elapsed).as_bytes()))
    }

    fn table(&self, elapsed: Duration) -> String {
        let Self { plan, bound, .. } = self;
        let mut lines = vec![row("model", self.named()), row("data", self.examples())];
        lines.extend(self.part().map(|part| row("examples", part)));
        lines.extend(self.data.resizing().map(|resizing| row("resized", resizing.to_string())));
        lines.extend([
            row("chain", self.chain()),
            row("estimate", self.estimate()),
            row("decoder", decoder_name(plan.bound.decoder()).to_owned()),
        ]);
        lines.extend(self.condition().map(|condition| row("condition", condition)));
        lines.push(String::new());
        lines.push(format!("{:<22} {:>14} {:>12} {:>12}", "", "nats", "bits/dim", "± bits/dim"));
        for (name, mean) in self.parts() {
            let bits = mean.bits_per_dim(bound.dimensions);
            let error = bits.standard_error.map_or_else(|| "-".to_owned(), |error| format!("{error:.5}"));
            lines.push(format!("{name:<22} {:>14.4} {:>12.5} {error:>12}", mean.mean, bits.mean));
        }
        lines.push(String::new());
        if !plan.bound.decoder().is_discrete() {
            lines.push(
                "The data is continuous: this bounds a density, and is not comparable with bits/dim of 8-bit data."
                    .to_owned(),
            );
        }
        lines.push(format!(
            "± is the standard error over the examples, noise{} included. {} evaluations of the network in {:.1} s.",
            self.chosen(),
            bound.evaluations,
            elapsed.as_secs_f64()
        ));
        lines.join("\n") + "\n"
    }

    /// The model and what kind it is of.
    pub(in crate::commands) fn named(&self) -> String {
        format!("{} ({})", self.scored.dir.display(), self.model.spec.config.class_name())
    }

    /// The data and how much of it.
    pub(in crate::commands) fn examples(&self) -> String {
        let Self { scored, data, bound, .. } = self;
        format!(
            "{}, {} split, {} of {} examples {:?}",
            scored.dataset,
            scored.split(data),
            bound.examples,
            scored.in_split(data),
            data.shape()
        )
    }

    /// What the model is told about the class, if it can be told anything.
    pub(in crate::commands) fn condition(&self) -> Option<String> {
        match self.plan.condition {
            Condition::None => None,
            Condition::Labels => Some(format!("the examples' labels, matched by {}", self.matched())),
            Condition::Null(_) => Some("none (the class that stands for any)".to_owned()),
        }
    }

    /// How the data's classes became the model's.
    fn matched(&self) -> &'static str {
        if self.model.spec.facts.class_names.is_empty() { "rank" } else { "name" }
    }

    /// Whether the work was stopped before all examples were done.
    pub(in crate::commands) fn stopped(&self) -> bool {
        self.bound.examples < self.plan.num as u64
    }

    /// Which examples were scored, if not all.
    pub(in crate::commands) fn part(&self) -> Option<String> {
        let (done, all) = (self.bound.examples, self.scored.in_split(self.data));
        let which = match self.plan.order {
            Order::Random { seed } => format!("a random part of the split, drawn with seed {seed}"),
            Order::First => format!("the first {done} in the order of the data"),
        };
        match (self.stopped(), done < all as u64) {
            (true, _) => Some(format!("stopped after {done} of {}; {which}", self.plan.num)),
            (false, true) => Some(which),
            (false, false) => None,
        }
    }

    /// What was left to chance beside the noise.
    fn chosen(&self) -> &'static str {
        match &self.plan.bound {
            BoundPlan::Steps(plan) if plan.strata.len() < plan.strata.steps() => " and choice of steps",
            BoundPlan::Steps(_) => "",
            BoundPlan::Continuous(_) => " and choice of noise levels",
        }
    }

    pub(in crate::commands) fn chain(&self) -> String {
        let chain = &self.plan.chain;
        let scheduler = &self.model.spec.scheduler;
        let total = scheduler.schedule.steps();
        let spacing = self.scored.args.chain.spacing.filter(|_| chain.steps() < total);
        let spacing = spacing.map_or_else(String::new, |spacing| format!(" ({spacing})"));
        let of = if chain.steps() < total { format!(" of {total}{spacing}") } else { String::new() };
        let steps = match self.plan.bound {
            BoundPlan::Steps(_) => format!("{}{of} steps", chain.steps()),
            BoundPlan::Continuous(_) => format!("continuous time between step 1 and step {total}"),
        };
        format!(
            "{}, {steps}, predicts {}, variance {}, x_0 {}",
            scheduler.describe_schedule(),
            word(&chain.parameterization()),
            match self.plan.bound {
                BoundPlan::Steps(_) => self.variance(),
                BoundPlan::Continuous(_) => format!("of the decoder {}", self.variance()),
            },
            match chain.clipping() {
                Clipping::Off => "not clipped".to_owned(),
                Clipping::Fixed { range } => format!("clipped to [-{range}, {range}]"),
                Clipping::Dynamic { .. } => "thresholded dynamically".to_owned(),
            }
        )
    }

    fn variance(&self) -> String {
        let asked = self.scored.args.chain.variance.map(|name| VarianceRule::from(name).name());
        asked.unwrap_or(self.model.spec.scheduler.variance.name()).to_owned()
    }

    pub(in crate::commands) fn estimate(&self) -> String {
        match &self.plan.bound {
            BoundPlan::Steps(plan) => self.estimate_of_steps(plan),
            BoundPlan::Continuous(plan) => {
                let strata = plan.levels.len();
                let draws = if plan.draws == 1 { "" } else { "s" };
                format!(
                    "{} noise levels an example, two in each of {strata} strata of log SNR; {} draw{draws}, seed {}",
                    2 * strata,
                    plan.draws,
                    plan.seed
                )
            }
        }
    }

    fn estimate_of_steps(&self, plan: &Plan<'_>) -> String {
        let steps = if plan.strata.len() < plan.strata.steps() {
            let widest = plan.strata.iter().map(|stratum| stratum.width).max().unwrap_or(1);
            format!("{} steps an example, one in each stratum of at most {widest}", plan.strata.len())
        } else {
            "every step".to_owned()
        };
        let noise = match (&plan.noise, self.scored.noise) {
            (BoundNoise::Recorded(_), Some(path)) => format!("noise of {}", path.display()),
            _ => format!("seed {}", plan.seed),
        };
        format!("{steps}; {} draw{}, {noise}", plan.draws, if plan.draws == 1 { "" } else { "s" })
    }

    fn parts(&self) -> [(&'static str, Mean); 4] {
        let Bound { prior, diffusion, decoder, total, .. } = self.bound;
        let steps = steps_name(matches!(self.plan.bound, BoundPlan::Continuous(_)));
        [("prior, L_T", *prior), (steps, *diffusion), ("decoder, L_0", *decoder), ("total", *total)]
    }

    /// Everything, with every step.
    pub(super) fn json(&self, elapsed: Duration) -> Value {
        let parts = [self.subject(), self.setting(), self.result(elapsed)];
        Value::Object(parts.into_iter().flat_map(|part| part.as_object().cloned().unwrap_or_default()).collect())
    }

    /// The model and the data.
    pub(in crate::commands) fn subject(&self) -> Value {
        let Self { scored, model, weights_sha256, data, plan, bound } = self;
        let args = &scored.args.data;
        json!({
            "model": scored.dir,
            "weights": model.weights(),
            "weights_sha256": weights_sha256,
            "class": model.spec.config.class_name(),
            "dataset": scored.dataset,
            "split": scored.split(data),
            "dataset_sha256": data.sha256(),
            "shape": data.shape(),
            "dimensions": bound.dimensions,
            "examples": bound.examples,
            "examples_in_split": scored.in_split(data),
            "left_out": data.skipped().len(),
            "limit": args.limit,
            "examples_planned": plan.num,
            "stopped": self.stopped(),
            "order": match plan.order {
                Order::Random { seed } => json!({ "random": seed }),
                Order::First => "first".into(),
            },
            "resized": data.resizing().map_or(Value::Null, resized),
            "background": args.background,
            "labels": args.labels,
            "range": args.range,
            "notes": data.notes(),
            "classes_matched_by": matches!(plan.condition, Condition::Labels).then(|| self.matched()),
        })
    }

    /// What was computed, and by which random numbers.
    pub(in crate::commands) fn setting(&self) -> Value {
        let Self { scored, model, plan, .. } = self;
        let decoder = match plan.bound.decoder() {
            Decoder::Discretized(cdf) => json!({ "kind": "discretized", "cdf": cdf }),
            Decoder::Gaussian => json!({ "kind": "gaussian" }),
        };
        let condition = match plan.condition {
            Condition::None => Value::Null,
            Condition::Labels => "labels".into(),
            Condition::Null(class) => json!({ "null_class": class }),
        };
        let (steps, steps_plan, levels) = match &plan.bound {
            BoundPlan::Steps(steps) => (json!(plan.chain.steps()), Some(steps), Value::Null),
            BoundPlan::Continuous(plan) => {
                let levels = (0..plan.levels.len()).map(|i| json!(plan.levels.edges(i))).collect();
                ("continuous".into(), None, Value::Array(levels))
            }
        };
        let strata = steps_plan.into_iter().flat_map(|plan| plan.strata.iter());
        let strata: Vec<Value> = strata.map(|s| json!([s.first, s.width])).collect();
        json!({
            "discrete": plan.bound.decoder().is_discrete(),
            "decoder": decoder,
            "condition": condition,
            "schedule": model.spec.scheduler.schedule,
            "rescale_betas_zero_snr": model.spec.scheduler.zero_terminal_snr,
            "steps": steps,
            "spacing": steps_plan.map(|_| scored.args.chain.spacing.unwrap_or_default().name()),
            "parameterization": plan.chain.parameterization(),
            "variance": self.variance(),
            "clipping": plan.chain.clipping(),
            "stride": steps_plan.and_then(|plan| plan.strata.iter().map(|stratum| stratum.width).max()),
            "strata": strata,
            "level_strata": levels,
            "draws": plan.bound.draws(),
            "seed": scored.args.estimate.seed,
            "noise": scored.noise,
            "batch_size": plan.batch_size,
        })
    }

    /// What came out, and where.
    fn result(&self, elapsed: Duration) -> Value {
        let Self { scored, bound, .. } = self;
        let step = |term: &StepTerm| {
            let mut object = json!({ "step": term.step, "original_step": term.original_step });
            object["term"] = term.term.map_or(Value::Null, |mean| self.mean(mean));
            object
        };
        let level =
            |level: &LevelTerm| json!({ "log_snr": level.log_snr, "time": level.time, "term": self.mean(level.term) });
        json!({
            "evaluations": bound.evaluations,
            "seconds": elapsed.as_secs_f64(),
            "total": self.mean(bound.total),
            "prior": self.mean(bound.prior),
            "diffusion": self.mean(bound.diffusion),
            "decoder_term": self.mean(bound.decoder),
            "terms": if self.bound.levels.is_empty() { bound.steps.iter().map(step).collect::<Vec<_>>() } else { Vec::new() },
            "levels": bound.levels.iter().map(level).collect::<Vec<_>>(),
            "each": self.each(),
            "environment": environment::describe_run(scored.machine),
        })
    }

    /// Each example's terms in nats, so that two models can be compared example by example.
    fn each(&self) -> Value {
        let each = &self.bound.each;
        let column = |part: fn(&ExampleTerms) -> f64| each.iter().map(part).collect::<Vec<_>>();
        json!({
            "example": each.iter().map(|terms| terms.example).collect::<Vec<_>>(),
            "prior": column(|terms| terms.prior),
            "diffusion": column(|terms| terms.diffusion),
            "decoder_term": column(|terms| terms.decoder),
        })
    }

    fn mean(&self, mean: Mean) -> Value {
        mean_json(mean, self.bound.dimensions)
    }

    /// Every step's term over `t`, and how the sum grows from the data on.
    pub(super) fn draw(&self, path: &Path) -> Result<()> {
        let bound = self.bound;
        if !bound.levels.is_empty() {
            return self.draw_levels(path);
        }
        let bits = |term: &StepTerm| term.term.map(|mean| mean.bits_per_dim(bound.dimensions).mean);
        let visited: Vec<[f64; 2]> =
            bound.steps.iter().filter_map(|term| Some([term.original_step as f64, bits(term)?])).collect();
        let mut sum = 0.0;
        let grown = visited
            .iter()
            .map(|[t, bits]| {
                sum += bits;
                [*t, sum]
            })
            .collect();
        let panel = |title: &str, y_scale, points| Panel {
            title: title.to_owned(),
            x_label: "step t (1 is the decoder)".to_owned(),
            y_scale,
            series: vec![Series::line(points)],
        };
        // A density's term can be negative, which no logarithm shows.
        let all = visited.iter().all(|[_, bits]| *bits > 0.0);
        let title = if all { "term of step t, bits/dim" } else { "term of step t where it is above 0, bits/dim" };
        let mut panels = vec![panel(title, Scale::Log, visited.clone())];
        // A sum over a part of the steps would mean nothing.
        if visited.len() == bound.steps.len() {
            panels.push(panel("sum from the data up to step t, bits/dim", Scale::Linear, grown));
        }
        self.write_figure(path, panels)
    }

    /// The integrand over log SNR, a step for each stratum, and how the sum grows from the data on.
    fn draw_levels(&self, path: &Path) -> Result<()> {
        let bound = self.bound;
        let bits = |mean: Mean| mean.bits_per_dim(bound.dimensions).mean;
        let mut sum = bits(bound.decoder);
        let (mut integrand, mut grown) = (Vec::new(), vec![[bound.levels[0].log_snr[0], sum]]);
        for level in &bound.levels {
            let [most, least] = level.log_snr;
            let term = bits(level.term);
            integrand.extend([most, least].map(|log_snr| [log_snr, term / (most - least)]));
            sum += term;
            grown.push([least, sum]);
        }
        let panel = |title: &str, points: Vec<[f64; 2]>| Panel {
            title: title.to_owned(),
            x_label: "log SNR, nats (much is near the data)".to_owned(),
            y_scale: Scale::Linear,
            series: vec![Series::line(points.into_iter().rev().collect())],
        };
        let panels = vec![
            panel("integrand, bits/dim for each nat of log SNR", integrand),
            panel("sum from the data down, bits/dim", grown),
        ];
        self.write_figure(path, panels)
    }

    fn write_figure(&self, path: &Path, panels: Vec<Panel>) -> Result<()> {
        let examples = self.bound.examples;
        let figure = Figure {
            title: "Terms of the variational bound".to_owned(),
            names: vec![format!(
                "{}, {} split, {examples} examples",
                self.scored.dataset,
                self.scored.split(self.data)
            )],
            panels,
        };
        chart::write(path, &figure, &self.subject())
    }
}
