//! `fit.json`: what was measured, whose it is, and what follows from it for readers other than this program.

use std::{fs, path::PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sfumato_files::{file_sha256, write_atomically};
use sfumato_process::{
    Clipping,
    fit::{Fit, Measured, VarianceRule},
};
use sfumato_schedule::NoiseSchedule;

use super::FitFileError;
use crate::{
    JsonError, json,
    pipeline::{Pipeline, Scheduler},
    tensor_file::{TensorFileError, WeightFiles},
};

/// The name of the file in the model's directory.
pub const FIT_FILE: &str = "fit.json";

/// What the file says it is.
const FORMAT: &str = "sfumato-fit-1";
/// Numbers of steps whose best steps stand in the file.
const COUNTS: std::ops::RangeInclusive<usize> = 5..=250;
/// How far apart log-SNRs of the same schedule may be.
const SAME_LOG_SNR: f64 = 1e-9;

/// The fit of a model, checked against its weights and its scheduler.
#[derive(Clone, Debug)]
pub struct ModelFit {
    /// The file.
    pub path: PathBuf,
    /// What follows from the numbers.
    pub fit: Fit,
    /// The data that it was measured on, in the words of whoever did.
    pub data: Map<String, Value>,
}

/// What is read of the file. Variances and best steps are not: they are computed again, for any number of steps.
#[derive(Deserialize)]
struct Document {
    format: String,
    weights_sha256: Vec<String>,
    parameterization: Value,
    clipping: Value,
    #[serde(default)]
    data: Map<String, Value>,
    measured: Measured,
}

impl Pipeline {
    /// Where the fit of the model is, if it has one.
    pub fn fit_path(&self) -> PathBuf {
        self.dir().join(FIT_FILE)
    }

    /// Whether there is a file of that name, whatever it holds.
    pub fn has_fit(&self) -> bool {
        fs::symlink_metadata(self.fit_path()).is_ok()
    }

    /// Refuses models whose variance is the network's word.
    ///
    /// # Errors
    /// [`FitFileError::Learned`].
    pub fn check_fittable(&self) -> Result<(), FitFileError> {
        let variance = self.spec.scheduler.variance;
        match variance.learned() {
            Some(_) => Err(FitFileError::Learned { dir: self.dir().to_owned(), variance: variance.name() }),
            None => Ok(()),
        }
    }

    /// Checksums (SHA-256) of the files that the weights are in: the file alone, or the index and every shard.
    ///
    /// # Errors
    /// [`TensorFileError`] if one cannot be read.
    pub fn weights_sha256(&self) -> Result<Vec<String>, TensorFileError> {
        let sum =
            |path: PathBuf| file_sha256(&path).map_err(|source| TensorFileError::Io { path, action: "read", source });
        WeightFiles::parts(self.weights())?.into_iter().map(sum).collect()
    }

    /// Reads the fit.
    ///
    /// # Errors
    /// [`FitFileError`] with the way out: if there is none, it is damaged, or it is of other weights or of another process.
    pub fn fit(&self) -> Result<ModelFit, FitFileError> {
        self.fit_with(true)
    }

    /// The same for predictions that are clipped as the model says, or that are not clipped at all: what was measured is the error of the ones
    /// or the others.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); also if it is of clipped predictions, and `clip` is false.
    pub fn fit_with(&self, clip: bool) -> Result<ModelFit, FitFileError> {
        let (path, dir) = (self.fit_path(), self.dir().to_owned());
        self.check_fittable()?;
        if !self.has_fit() {
            return Err(FitFileError::Missing { path, dir });
        }
        let damaged = |reason: String| FitFileError::Damaged { path: path.clone(), dir: dir.clone(), reason };
        let value = json::read(&path).map_err(|source: JsonError| FitFileError::Json { dir: dir.clone(), source })?;
        let document: Document = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        if document.format != FORMAT {
            return Err(damaged(format!("its format is `{}`, expected `{FORMAT}`", document.format)));
        }
        if document.weights_sha256 != self.weights_sha256()? {
            return Err(FitFileError::OtherWeights { path, dir });
        }
        let scheduler = &self.spec.scheduler;
        let schedule = scheduler.noise_schedule().map_err(|error| damaged(error.to_string()))?;
        if let Some((what, found, now)) = difference(&document, scheduler, &schedule) {
            return Err(FitFileError::OtherProcess { path, dir, what, found, now });
        }
        if !clip && document.clipping != json!(Clipping::Off) {
            return Err(FitFileError::Clipped { path, found: document.clipping.to_string() });
        }
        let fit = Fit::new(document.measured, &schedule).map_err(|error| damaged(error.to_string()))?;
        Ok(ModelFit { path, fit, data: document.data })
    }

    /// Writes the fit, whole or not at all, and leaves the weights alone. `data` says what was measured, in the caller's words.
    ///
    /// The file also holds, for other programs, the log-variances of the whole chain by [`VarianceRule::Analytic`] and
    /// [`VarianceRule::Optimal`], and the best 5 to 250 steps by these and by the model's own variance; steps count from 1.
    ///
    /// # Errors
    /// [`FitFileError`] if the numbers are not those of such a model, or the file cannot be written.
    pub fn write_fit(&self, measured: Measured, data: Map<String, Value>) -> Result<ModelFit, FitFileError> {
        let (path, dir) = (self.fit_path(), self.dir().to_owned());
        let scheduler = &self.spec.scheduler;
        let damaged = |reason: String| FitFileError::Damaged { path: path.clone(), dir: dir.clone(), reason };
        let schedule = scheduler.noise_schedule().map_err(|error| damaged(error.to_string()))?;
        let fit = Fit::new(measured, &schedule).map_err(|error| damaged(error.to_string()))?;
        let own = scheduler.variance.fixed().map(VarianceRule::from);
        let mut document = json!({
            "format": FORMAT,
            "weights_sha256": self.weights_sha256()?,
            "parameterization": scheduler.parameterization,
            "clipping": scheduler.clipping(),
            "data": data,
            "measured": fit.measured(),
        });
        document["log_variances"] = log_variances(&fit, schedule.steps());
        let rules = own.into_iter().chain([VarianceRule::Analytic, VarianceRule::Optimal]);
        document["best_steps"] = rules.map(|rule| (rule.name().to_owned(), best_steps(&fit, rule))).collect();
        write_atomically(&path, shown(&document).as_bytes()).map_err(|source| FitFileError::Write { source })?;
        Ok(ModelFit { path, fit, data })
    }
}

/// What of the process is not as it was when the fit was made.
fn difference(
    document: &Document,
    scheduler: &Scheduler,
    schedule: &NoiseSchedule,
) -> Option<(&'static str, String, String)> {
    let (parameterization, clipping) = (json!(scheduler.parameterization), json!(scheduler.clipping()));
    if document.parameterization != parameterization {
        return Some(("predictions of", document.parameterization.to_string(), parameterization.to_string()));
    }
    if document.clipping != clipping {
        return Some(("clipping", document.clipping.to_string(), clipping.to_string()));
    }
    let nodes = &document.measured.nodes;
    let last = nodes.last().map_or(0, |node| node.t);
    if last != schedule.steps() {
        return Some(("a schedule of", format!("{last} steps"), format!("{} steps", schedule.steps())));
    }
    let differs = |&(t, log_snr): &(usize, f64)| {
        let same =
            (1..=last).contains(&t) && (schedule.log_snr(t) - log_snr).abs() <= SAME_LOG_SNR * (1.0 + log_snr.abs());
        !same
    };
    let (t, log_snr) = nodes.iter().map(|node| (node.t, node.log_snr)).find(differs)?;
    let now = if (1..=last).contains(&t) { schedule.log_snr(t).to_string() } else { "nothing".to_owned() };
    Some(("a schedule of log-SNR", format!("{log_snr} at step {t}"), now))
}

/// Of the whole chain, step 1 first.
fn log_variances(fit: &Fit, total: usize) -> Value {
    let steps: Vec<usize> = (1..=total).collect();
    let rules = [VarianceRule::Analytic, VarianceRule::Optimal].into_iter();
    rules.map(|rule| (rule.name().to_owned(), json!(fit.log_variances(rule, &steps).unwrap_or_default()))).collect()
}

/// By number of steps; empty where the schedule is too long to look for them.
fn best_steps(fit: &Fit, rule: VarianceRule) -> Value {
    let Ok(best) = fit.best_steps(rule, *COUNTS.end()) else { return json!({}) };
    COUNTS.filter_map(|count| Some((count.to_string(), json!(best.steps(count)?)))).collect()
}

/// A line for each of the outer two levels, so that long lists do not make long files.
fn shown(document: &Value) -> String {
    let object = |map: &Map<String, Value>, indent: &str, value: &dyn Fn(&Value) -> String| {
        let lines: Vec<String> =
            map.iter().map(|(key, inner)| format!("{indent}  {}: {}", json!(key), value(inner))).collect();
        format!("{{\n{}\n{indent}}}", lines.join(",\n"))
    };
    let inner = |value: &Value| match value {
        Value::Object(map) if !map.is_empty() => object(map, "  ", &Value::to_string),
        value => value.to_string(),
    };
    let map = document.as_object().cloned().unwrap_or_default();
    object(&map, "", &inner) + "\n"
}
