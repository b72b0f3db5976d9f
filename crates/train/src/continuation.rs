//! A run that goes on with other settings: what may change, what that means, and the learning rate from here on.

use std::{collections::BTreeMap, fmt};

use crate::{
    PlanPoint, TrainConfig, TrainError,
    config::{LearningRateDecay, OptimizerConfig},
};

/// These cannot change in a run: the meaning of the weights depends on them, averages are taken from the first step on, and what one optimizer
/// remembers is not what another one needs.
const FIXED: [&str; 5] = ["model.", "diffusion.", "init.", "averages.widths", "optimizer.method"];
/// Exceptions from [`FIXED`]: the first two act while training, the last while sampling.
const FREE_OF_FIXED: [&str; 3] = ["model.dropout", "model.config.dropout", "diffusion.variance"];
/// What has no part in the weights.
const WITHOUT_EFFECT: [&str; 13] = [
    "data.dataset", // its content counts, which is compared by itself
    "data.dir",
    "data.strict",
    "diffusion.variance",
    "samples.",
    "training.max_minutes",
    "training.log_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.keep_best",
    "averages.every",
    "held_out.every",
    "held_out.examples",
];

/// A key with another value than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Dotted key, as in the file.
    pub key: String,
    /// The value so far; none where the key was not set.
    pub before: Option<toml::Value>,
    /// The value from here on; none where the key is not set any more.
    pub after: Option<toml::Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} so far, {} from here on", self.key, shown(&self.before), shown(&self.after))
    }
}

/// How the configuration of a run that goes on differs from the one that its checkpoint was made with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Continuation {
    /// Every key that has changed.
    pub changes: Vec<Change>,
    /// Whether the weights will be those of a run that never stopped.
    pub exact: bool,
    /// The learning rate of the last step done and of the next one, where the next is not what it would have been.
    pub learning_rate: Option<[f64; 2]>,
}

impl Continuation {
    /// Compares `before`, under which `step` steps were done, with `after`, and lets a new learning rate begin at `step`:
    /// warm-up and decay then count from there, and a warm-up that is over is not repeated unless `after` changes it.
    ///
    /// # Errors
    /// [`TrainError::FixedKey`] for a key that cannot change.
    pub fn new(before: &TrainConfig, after: &mut TrainConfig, step: u64) -> Result<Self, TrainError> {
        settle_plan(before, after, step);
        start_rate_anew(&before.optimizer, after, step);
        let (was, is) = (flat(before), flat(after));
        let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let changes: Vec<Change> = keys
            .into_iter()
            // What the run has planned itself is no change of the user's; its rates are compared below.
            .filter(|key| *key != "training.plan" && was.get(*key) != is.get(*key))
            .map(|key| Change { key: key.clone(), before: was.get(key).cloned(), after: is.get(key).cloned() })
            .collect();
        // Without label dropout the table of classes has a row less.
        let learns_any = |config: &TrainConfig| config.label_dropout() > 0.0;
        let fixed_now = |key: &str| key == "data.label_dropout" && learns_any(before) != learns_any(after);
        let within = |key: &str, names: &[&str]| {
            names.iter().any(|name| if name.ends_with('.') { key.starts_with(name) } else { key == *name })
        };
        if let Some(Change { key, before, after }) = changes
            .iter()
            .find(|Change { key, .. }| within(key, &FIXED) && !within(key, &FREE_OF_FIXED) || fixed_now(key))
        {
            return Err(TrainError::FixedKey { key: key.clone(), before: shown(before), after: shown(after) });
        }
        let decides = |key: &str| match key {
            "training.steps" => after.optimizer.decay == LearningRateDecay::Cosine,
            key => !within(key, &WITHOUT_EFFECT),
        };
        let exact = planned_later(before, after, step) && !changes.iter().any(|change| decides(&change.key));
        let (would_be, will_be) = (before.learning_rate(step + 1), after.learning_rate(step + 1));
        let last = before.learning_rate(step);
        // More than rounding: two digits are shown.
        let differs = (will_be - would_be).abs() > 0.01 * would_be.max(last);
        Ok(Self { changes, exact, learning_rate: (step > 0 && differs).then_some([last, will_be]) })
    }
}

/// See [`Continuation::new`].
fn start_rate_anew(before: &OptimizerConfig, after: &mut TrainConfig, step: u64) {
    let curve = |config: &OptimizerConfig| (config.learning_rate, config.decay, config.warmup_steps);
    let TrainConfig { optimizer, training, .. } = after;
    if curve(before) == curve(optimizer) || before.start_step != optimizer.start_step || step == 0 {
        return;
    }
    optimizer.start_step = step;
    if optimizer.warmup_steps == before.warmup_steps && step >= before.start_step + before.warmup_steps {
        optimizer.warmup_steps = 0;
    }
    // It ends where the one before was to end.
    if let Some(PlanPoint { steps, .. }) = training.plan.last().copied() {
        training.plan.push(PlanPoint { after: step, progress: 0.0, steps });
    }
}

/// Whether the plan of `after` is that of `before`, but for what the run itself planned after `step`, before it was stopped.
fn planned_later(before: &TrainConfig, after: &TrainConfig, step: u64) -> bool {
    let (was, is) = (&before.training.plan, &after.training.plan);
    is.starts_with(was) && is[was.len()..].iter().all(|point| point.after >= step && point.steps.is_some())
}

/// Makes the plan of a run that goes on after `step` fit its length, if that was changed: other steps end the plan, another time
/// limit begins a new one.
///
/// [`Continuation::new`] does it too; before it, this says how many steps are left.
pub fn settle_plan(before: &TrainConfig, after: &mut TrainConfig, step: u64) {
    let (was, is) = (&before.training, &mut after.training);
    if was.steps != is.steps {
        is.plan.clear();
    } else if was.max_minutes != is.max_minutes && (is.plan.is_empty() || is.is_planned()) {
        after.plan_anew(step);
    }
}

/// Every value of the configuration by its dotted key.
fn flat(config: &TrainConfig) -> BTreeMap<String, toml::Value> {
    fn descend(prefix: &str, table: toml::Table, out: &mut BTreeMap<String, toml::Value>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(table) => descend(&key, table, out),
                value => drop(out.insert(key, value)),
            }
        }
    }
    let mut out = BTreeMap::new();
    let table = config.to_toml().parse().expect("a configuration that was just written");
    descend("", table, &mut out);
    // It is left out of the file where it is 1.
    out.insert("training.shards".to_owned(), toml::Value::from(config.training.shards as i64));
    out
}

fn shown(value: &Option<toml::Value>) -> String {
    value.as_ref().map_or_else(|| "not set".to_owned(), toml::Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TrainConfig {
        TrainConfig::layered(Some("fashion-mnist-mini"), None, &[]).unwrap()
    }

    fn changed(change: impl FnOnce(&mut TrainConfig), step: u64) -> (TrainConfig, Continuation) {
        let mut after = config();
        change(&mut after);
        let continuation = Continuation::new(&config(), &mut after, step).unwrap();
        (after, continuation)
    }

    #[test]
    fn without_a_change_a_run_is_exact() {
        let (after, continuation) = changed(|_| (), 500);
        assert_eq!(after, config());
        assert_eq!(continuation, Continuation { exact: true, ..Continuation::default() });
    }

    #[test]
    fn what_has_no_part_in_the_weights_leaves_a_run_exact() {
        let (_, continuation) = changed(
            |config| {
                config.training.keep_checkpoints = 9;
                config.training.log_every = 7;
                config.samples.num = 3;
                config.data.strict = true;
            },
            500,
        );
        assert!(continuation.exact && continuation.learning_rate.is_none());
        assert_eq!(continuation.changes.len(), 4);
        // Nor has the time limit, where the rate does not fall.
        let mut before = config();
        before.optimizer.decay = LearningRateDecay::Constant;
        let mut after = before.clone();
        after.training.max_minutes = 3.0;
        assert!(Continuation::new(&before, &mut after, 500).unwrap().exact && after.training.plan.is_empty());
    }

    #[test]
    fn a_cosine_that_is_stretched_says_both_rates() {
        let steps = config().training.steps;
        let (after, continuation) = changed(|config| config.training.steps *= 2, steps);
        let [last, next] = continuation.learning_rate.unwrap();
        assert!(last < 1e-6 && (4e-4..6e-4).contains(&next), "{last} {next}");
        assert!(!continuation.exact && after.optimizer.start_step == 0);
        // Constant rates go on as they were.
        let mut before = config();
        before.optimizer.decay = LearningRateDecay::Constant;
        let mut after = before.clone();
        after.training.steps *= 2;
        let continuation = Continuation::new(&before, &mut after, steps).unwrap();
        assert!(continuation.exact && continuation.learning_rate.is_none());
    }

    #[test]
    fn another_rate_begins_where_the_run_goes_on() {
        let (after, continuation) = changed(|config| config.optimizer.learning_rate = 1e-4, 800);
        assert_eq!((after.optimizer.start_step, after.optimizer.warmup_steps), (800, 0));
        let [last, next] = continuation.learning_rate.unwrap();
        assert!(last > 8e-4 && (9.9e-5..1.01e-4).contains(&next), "{last} {next}");
        // Going on once more from the same checkpoint changes nothing.
        let mut again = after.clone();
        Continuation::new(&config(), &mut again, 800).unwrap();
        assert_eq!(again, after);
        // A warm-up that was asked for, or was not over, begins anew.
        let (after, _) = changed(|config| config.optimizer.warmup_steps = 300, 800);
        assert_eq!((after.optimizer.start_step, after.optimizer.warmup_steps), (800, 300));
        let (after, _) = changed(|config| config.optimizer.learning_rate = 1e-4, 50);
        assert_eq!((after.optimizer.start_step, after.optimizer.warmup_steps), (50, 100));
    }

    #[test]
    fn what_the_run_planned_itself_is_no_change_and_another_length_ends_the_plan() {
        let point = |after, progress, steps| PlanPoint { after, progress, steps };
        let mut before = config();
        before.training.plan = vec![point(0, 0.0, None), point(100, 0.0, Some(2000))];
        // Made anew at step 900, then killed: the newest checkpoint is that of step 500.
        let mut after = before.clone();
        after.training.plan.push(point(900, 0.4, Some(1500)));
        let continuation = Continuation::new(&before, &mut after, 500).unwrap();
        assert!(continuation.exact && continuation.changes.is_empty(), "{continuation:?}");
        assert_eq!((before.last_step(), after.last_step()), (2000, 1500));
        // With other minutes the rate is held where it is, until the new plan is made.
        let mut minutes = before.clone();
        minutes.training.max_minutes = 3.0;
        let continuation = Continuation::new(&before, &mut minutes, 1050).unwrap();
        assert!(!continuation.exact && continuation.learning_rate.is_none(), "{continuation:?}");
        assert_eq!(minutes.training.plan[2], point(1050, before.decay_progress(1050), None));
        assert_eq!(minutes.learning_rate(1400), before.learning_rate(1050));
        // With more steps the rate rises again, which is said.
        let mut steps = before.clone();
        (steps.training.steps, steps.training.max_minutes) = (5000, 0.0);
        let continuation = Continuation::new(&before, &mut steps, 2000).unwrap();
        assert!(steps.training.plan.is_empty() && continuation.learning_rate.is_some() && !continuation.exact);
        // After the end of the plan a new one begins at the full rate.
        let mut again = before.clone();
        again.plan_anew(2000);
        assert_eq!((again.learning_rate(2001), again.last_step()), (again.optimizer.learning_rate, 3200));
    }

    #[test]
    fn what_the_weights_mean_cannot_change() {
        for (set, key) in [
            ("channels = [32, 64, 128]", "model.channels"),
            ("groups = 4", "model.groups"),
            ("class_conditional = true", "model.class_conditional"),
        ] {
            let mut after = config();
            let table = format!("kind = \"unet\"\n{set}").parse().unwrap();
            after = TrainConfig::layered(
                Some("fashion-mnist-mini"),
                None,
                &[(vec!["model".into()], toml::Value::Table(table))],
            )
            .unwrap_or(after);
            let error = Continuation::new(&config(), &mut after, 10).unwrap_err().to_string();
            assert!(error.starts_with(key) && error.contains("cannot change"), "{error}");
        }
        let mut after = config();
        after.diffusion.schedule = after.diffusion.schedule.with_steps(500).unwrap();
        let error = Continuation::new(&config(), &mut after, 10).unwrap_err().to_string();
        assert!(
            error.contains("diffusion.schedule.steps") && error.contains("1000") && error.contains("500"),
            "{error}"
        );
        let (_, continuation) = changed(|config| config.optimizer.ema_decay = 0.99, 10);
        assert!(!continuation.exact && continuation.changes[0].to_string().contains("optimizer.ema_decay: 0.999"));
    }
}
