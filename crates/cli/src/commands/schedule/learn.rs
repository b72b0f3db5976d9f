//! `sfumato schedule learn`

use std::{fmt::Write as _, io::Write as _};

use anyhow::{Context, Result};
use serde_json::Value;
use sfumato_model::fitted::ModelFit;
use sfumato_schedule::{LossCurve, NoiseSchedule, Spread, probability::nats_to_bits};

use crate::{
    args::{LearnArgs, UsageError},
    commands::eval::words::row,
    loaded, say,
};

pub(super) fn run(args: &LearnArgs) -> Result<()> {
    if args.out.extension().is_none_or(|extension| extension != "toml") {
        let shown = args.out.display();
        return Err(
            UsageError(format!("--out {shown}: a configuration is written; give a name that ends in .toml")).into()
        );
    }
    sfumato_files::check_writable(&args.out)?;
    let model = loaded::open_model(&args.model)?;
    let fit = model.fit()?;
    let own = model.spec.scheduler.noise_schedule()?;
    let learned = Learned::new(args, &fit, &own)?;
    sfumato_files::write_atomically(&args.out, learned.toml(args, &fit).as_bytes())?;
    say::result(|out| out.write_all(learned.table(args, &fit, &own).as_bytes()))
}

/// A schedule that was learned, and where it lies.
struct Learned {
    losses: LossCurve,
    ends: [f64; 2],
    schedule: NoiseSchedule,
}

impl Learned {
    fn new(args: &LearnArgs, fit: &ModelFit, own: &NoiseSchedule) -> Result<Self> {
        let losses = LossCurve::new(fit.fit.measured().level_losses())
            .with_context(|| format!("{}: the losses make no schedule", fit.path.display()))?;
        let [first, last] = own.log_snr_curve().ends();
        let ends = [args.log_snr_first.unwrap_or(first), args.log_snr_last.unwrap_or(last)];
        let leap =
            args.first_leap.unwrap_or_else(|| losses.first_leap(ends[0]).min(0.5 * (ends[0] - ends[1]).max(0.0)));
        let schedule = losses.schedule(ends, args.steps.unwrap_or(own.steps()), leap).map_err(|error| {
            UsageError(format!("{error} (--log-snr-first, --log-snr-last, --first-leap and --steps decide it)"))
        })?;
        Ok(Self { losses, ends, schedule })
    }

    /// How far log-SNR falls from step 1 to step 2.
    fn first_leap(&self) -> f64 {
        if self.schedule.steps() > 1 { self.schedule.log_snr(1) - self.schedule.log_snr(2) } else { 0.0 }
    }

    fn levels(&self) -> String {
        let (steps, [first, last]) = (self.schedule.steps(), self.ends);
        format!(
            "log SNR from {first:.3} to {last:.3} in {steps} steps, by {:.3} from step 1 to step 2",
            self.first_leap()
        )
    }

    /// A configuration of the schedule alone.
    fn toml(&self, args: &LearnArgs, fit: &ModelFit) -> String {
        let mut text = format!(
            "# The noise schedule with the least variance of the bound's estimate, {}.\n# Learned by `sfumato schedule learn` from {}: {}.\n",
            self.levels(),
            fit.path.display(),
            measured(fit)
        );
        let _ = writeln!(text, "# `sfumato train --schedule {}` trains with it.\n", args.out.display());
        text += "[diffusion.schedule]\nkind = \"explicit\"\nbetas = [\n";
        for betas in self.schedule.betas().chunks(5) {
            // `{:?}` prints the shortest digits that read back as the same number.
            let line: Vec<String> = betas.iter().map(|beta| format!("{beta:?}")).collect();
            let _ = writeln!(text, "    {},", line.join(", "));
        }
        text + "]\n"
    }

    fn table(&self, args: &LearnArgs, fit: &ModelFit, own: &NoiseSchedule) -> String {
        let mut lines = vec![
            row("schedule", args.out.display().to_string()),
            row("learned", format!("from {}: {}", fit.path.display(), measured(fit))),
            row("levels", self.levels()),
            String::new(),
            "The bound's integral estimated from one time an example, by these losses; bits/dim:".to_owned(),
            format!("{:<34} {:>10} {:>20}", "times uniform in", "integral", "standard deviation"),
        ];
        let line = |name: &str, spread: Spread| {
            let [integral, deviation] = [spread.integral, spread.variance.max(0.0).sqrt()].map(nats_to_bits);
            format!("{name:<34} {integral:>10.4} {deviation:>20.4}")
        };
        lines.push(line("the model's schedule", self.losses.spread(&own.log_snr_curve())));
        lines.push(line("the learned schedule", self.losses.spread(&self.schedule.log_snr_curve())));
        let even = self.losses.schedule(self.ends, self.schedule.steps(), 0.0).ok();
        let even = even.filter(|even| *even != self.schedule);
        if let Some(even) = &even {
            lines.push(line("the same with --first-leap 0", self.losses.spread(&even.log_snr_curve())));
        }
        lines.push(line("the best, in ever more steps", self.losses.least_spread(self.ends)));
        lines.push(String::new());
        if even.is_some() {
            lines.push(
                "The long first leap is for the decoder of a fixed variance. With --first-leap 0 train with --variance learned-range."
                    .to_owned(),
            );
        }
        lines.push(format!("`sfumato train --schedule {}` trains with it.", args.out.display()));
        lines.join("\n") + "\n"
    }
}

/// What the losses are of.
fn measured(fit: &ModelFit) -> String {
    let measured = fit.fit.measured();
    let data = fit.data.get("dataset").and_then(Value::as_str).unwrap_or("unknown data");
    format!("{} training examples of {data}, {} noise levels", measured.examples, measured.nodes.len())
}
