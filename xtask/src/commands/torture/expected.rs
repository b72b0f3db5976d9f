//! What an undisturbed run leaves, and whether another run left the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use super::look;

/// Files whose bits must be the same.
const BITS: [&str; 3] =
    ["unet/diffusion_pytorch_model.safetensors", "training/weights.safetensors", "training/optimizer.safetensors"];

/// Members of a line of metrics that depend on the machine's speed.
const OF_THE_CLOCK: [&str; 2] = ["images_per_second", "seconds"];

/// What a run leaves at its end.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) steps: u64,
    /// Checksums of [`BITS`].
    bits: Vec<Vec<u8>>,
    metrics: Vec<String>,
    config: String,
    /// Names of the files of a checkpoint.
    files: BTreeSet<String>,
}

impl Expected {
    /// Reads it off the undisturbed run in `run`.
    pub(super) fn of(run: &Path, steps: u64) -> anyhow::Result<Self> {
        let checkpoint = run.join(look::checkpoint(steps));
        let files = look::files(&checkpoint);
        let config = read(&run.join("config.toml"))?;
        Ok(Self { steps, bits: bits(&checkpoint)?, metrics: metrics(run)?, config, files })
    }

    /// Fails if the run in `run` left something else; the error has everything that is wrong, as one fault may hide another.
    pub(super) fn check(&self, run: &Path) -> anyhow::Result<()> {
        let checks = [
            self.check_checkpoint(run),
            metrics(run).and_then(|lines| self.check_metrics(&lines)),
            self.check_others(run),
            self.check_link(run),
            look::no_leftovers(run, &self.files),
        ];
        let wrong: Vec<String> = checks.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("\nand "));
        Ok(())
    }

    fn check_checkpoint(&self, run: &Path) -> anyhow::Result<()> {
        let last = look::checkpoint(self.steps);
        let newest = look::complete(run).last().copied();
        ensure!(newest == Some(self.steps), "the newest complete checkpoint is {newest:?}, not step {}", self.steps);
        for ((file, bits), expected) in BITS.iter().zip(bits(&run.join(&last))?).zip(&self.bits) {
            ensure!(bits == *expected, "{last}/{file} has other bits than that of the undisturbed run");
        }
        let files = look::files(&run.join(&last));
        // The picture of the model card is drawn after the checkpoint is complete; a run that ends in between has none.
        let missing: Vec<_> = self.files.difference(&files).filter(|file| *file != "samples.png").collect();
        ensure!(missing.is_empty(), "{last} lacks {missing:?}");
        Ok(())
    }

    fn check_others(&self, run: &Path) -> anyhow::Result<()> {
        let config = read(&run.join("config.toml"))?;
        ensure!(config == self.config, "config.toml is not that of the undisturbed run:\n{config}");
        ensure!(!read(&run.join("environment.json"))?.is_empty(), "environment.json is empty");
        Ok(())
    }

    fn check_link(&self, run: &Path) -> anyhow::Result<()> {
        let last = look::checkpoint(self.steps);
        let model = fs::read_link(run.join("model")).context("model is no link")?;
        ensure!(model == Path::new(&last), "model shows {}, not {last}", model.display());
        Ok(())
    }

    fn check_metrics(&self, lines: &[String]) -> anyhow::Result<()> {
        for (number, (line, expected)) in lines.iter().zip(&self.metrics).enumerate() {
            ensure!(
                line == expected,
                "line {} of metrics.jsonl is\n  {line}\nand in the undisturbed run\n  {expected}",
                number + 1
            );
        }
        let (has, expected) = (lines.len(), self.metrics.len());
        ensure!(has == expected, "metrics.jsonl has {has} lines, that of the undisturbed run has {expected}");
        Ok(())
    }
}

fn bits(checkpoint: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    BITS.iter()
        .map(|file| {
            let path = checkpoint.join(file);
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Sha256::digest(bytes).to_vec())
        })
        .collect()
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn metrics(run: &Path) -> anyhow::Result<Vec<String>> {
    Ok(read(&run.join("metrics.jsonl"))?.lines().map(without_clock).collect())
}

/// A line of metrics without what the clock decides: a flat JSON object, whose numbers stay as they are written.
fn without_clock(line: &str) -> String {
    let of_the_clock = |member: &&str| {
        let name = member.trim_start_matches('{').split(':').next().unwrap_or_default().trim_matches('"');
        !OF_THE_CLOCK.contains(&name)
    };
    line.trim_end_matches('}').split(',').filter(of_the_clock).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_without_the_clock() {
        let line = |seconds: f64, loss: &str| {
            format!(r#"{{"step":2,"loss":{loss},"grad_norm":0.5,"images_per_second":{seconds}e3,"seconds":{seconds}}}"#)
        };
        assert_eq!(without_clock(&line(0.25, "0.7")), r#"{"step":2,"loss":0.7,"grad_norm":0.5"#);
        assert_eq!(without_clock(&line(0.25, "0.7")), without_clock(&line(0.5, "0.7")));
        assert_ne!(without_clock(&line(0.25, "0.7")), without_clock(&line(0.25, "0.70000001")));
    }

    #[test]
    fn gaps_doubles_and_wrong_means_are_found() {
        let lines = |losses: &[u64]| losses.iter().map(|n| format!(r#"{{"loss":{n}"#)).collect::<Vec<_>>();
        let expected = Expected {
            steps: 3,
            bits: vec![],
            metrics: lines(&[5, 6, 7]),
            config: String::new(),
            files: BTreeSet::new(),
        };
        assert!(expected.check_metrics(&lines(&[5, 6, 7])).is_ok());
        for wrong in [&[5, 7][..], &[5, 6, 6, 7], &[5, 6, 8], &[5, 6], &[5, 6, 7, 7], &[]] {
            assert!(expected.check_metrics(&lines(wrong)).is_err(), "{wrong:?}");
        }
    }
}
