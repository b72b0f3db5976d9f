//! A file of the newest checkpoint is damaged between a stop and a resume.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::launch::Outside;
use super::look;
use super::round::{How, RUN, Round};
use super::settings::Settings;

/// Files that a run goes on from, so that damage to them must be found. The others may be read or not.
const GOES_ON_FROM: [&str; 6] = [
    "training/state.json",
    "training/config.toml",
    "training/data.json",
    "training/weights.safetensors",
    "training/optimizer.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
];

/// Tries to stop a run between two checkpoints.
const TRIES: u64 = 50;

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::random(&mut round.random);
    let expected = round.undisturbed(&settings)?;
    let [before, newest] = stopped(round, &settings)?;
    let name = look::checkpoint(newest);
    let dir = round.run_dir().join(&name);
    let (what, needed) = if round.random.one_in(8) {
        fs::remove_dir_all(&dir)?;
        // Nothing on disk names it any more but `model`, so nothing need be said of it.
        (format!("{name} was deleted"), false)
    } else {
        let files: Vec<String> = look::files(&dir).into_iter().collect();
        let file = round.random.pick(&files).clone();
        let how = *round.random.pick(&["cut", "emptied", "deleted", "changed"]);
        damage(round, &dir.join(&file), how)?;
        (format!("{name}/{file} was {how}"), GOES_ON_FROM.contains(&file.as_str()))
    };
    round.counts.errors += 1;
    round.did(what.clone());
    round.note(what.clone());
    round.mark = before;
    let ended = round.finish(&settings, None).with_context(|| what.clone())?;
    let check = || -> anyhow::Result<()> {
        if needed {
            let start = ended.error.split("resuming from step").next().unwrap_or_default();
            let step = ended.resumed();
            ensure!(step == Some(before), "the run goes on from step {step:?}, not from step {before}");
            let said = start.contains(&format!("step-{newest:07}"));
            ensure!(said, "nothing is said of the damaged checkpoint: {}", ended.about());
        }
        expected.check(&round.run_dir())
    };
    check().context(what)
}

/// A run that was killed on its way: the steps of its last two checkpoints.
fn stopped(round: &mut Round, settings: &Settings) -> anyhow::Result<[u64; 2]> {
    let wanted = round.run_dir().join(look::checkpoint(2 * settings.every));
    for _ in 0..TRIES {
        let how = How { signal: Some("KILL"), ..How::from(Outside::KillWhen(wanted.clone())) };
        let ended = round.run(&how, &settings.start(RUN))?;
        round.counts.kills += u64::from(ended.signal.is_some());
        if let [.., before, newest] = look::complete(&round.run_dir())[..]
            && newest < settings.steps
        {
            return Ok([before, newest]);
        }
        fs::remove_dir_all(round.run_dir())?;
    }
    bail!("none of {TRIES} runs could be stopped between two checkpoints")
}

fn damage(round: &mut Round, file: &Path, how: &str) -> anyhow::Result<()> {
    let bytes = fs::read(file)?;
    match how {
        "cut" => {
            // A text without its last line break says the same.
            let length = round.random.between(1, bytes.trim_ascii_end().len() as u64 - 1);
            fs::write(file, &bytes[..length as usize])?;
        }
        "emptied" => fs::write(file, "")?,
        "deleted" => fs::remove_file(file)?,
        _ => {
            let mut bytes = bytes;
            let at = round.random.between(0, bytes.len() as u64 - 1) as usize;
            bytes[at] ^= 1 << round.random.between(0, 7);
            fs::write(file, bytes)?;
        }
    }
    Ok(())
}
