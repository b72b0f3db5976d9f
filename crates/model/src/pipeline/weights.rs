//! Which file in a model's directory holds its weights.
//!
//! diffusers has had many names for them: one file or several behind an index, safetensors or torch's pickles, variants in half
//! precision or without the average; transformers and other trainers have theirs. All are read; full precision goes before half,
//! averaged weights before raw ones, diffusers' names before others, safetensors before pickles, several files behind an index before one:
//! diffusers looks for the index first.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

use super::{Note, PipelineError, Warning};
use crate::{state_names::is_average, tensor_file::shard_numbers};

/// Files beside the weights that are none: states of optimizers, of learning rates, of random numbers.
const NO_WEIGHTS: [&str; 9] =
    ["optimizer", "scheduler", "scaler", "sampler", "random_states", "rng_state", "training_args", "events", "opt"];
/// Names of others that a message lists.
const SHOWN: usize = 6;

/// A file that may hold the weights, by its name; the least is the best.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    variant: Variant,
    stem: Stem,
    format: Format,
    kind: Kind,
    name: String,
}

/// Which of a model's weights a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    Full,
    F16,
    BF16,
    Other,
    WithoutAverage,
}

/// Whose name a file has. Of others' names the last is taken first: they often end in a number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stem {
    Diffusers,
    Model,
    PytorchModel,
    Average(Reverse<u64>),
    Other(Reverse<u64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Format {
    Safetensors,
    Pickle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Index,
    Whole,
    Shard,
}

/// The file with the weights in `dir`, or the index of several.
pub(super) fn find(dir: &Path, notes: &mut Vec<Note>, warnings: &mut Vec<Warning>) -> Result<PathBuf, PipelineError> {
    let candidates = candidates(dir)?;
    let Some(first) = candidates.first() else {
        return Err(PipelineError::NoWeights { dir: dir.into(), hint: hint(dir) });
    };
    let taken = dir.join(&first.name);
    // The usual name needs no word, nor do the pickles beside safetensors of the same name.
    let usual = (first.variant, first.stem, first.format) == (Variant::Full, Stem::Diffusers, Format::Safetensors);
    let twin =
        |other: &Candidate| (other.variant, other.stem) == (first.variant, first.stem) && other.format > first.format;
    // But one file beside several of the same name may hold other weights.
    let rival =
        |other: &Candidate| (other.variant, other.stem, other.format) == (first.variant, first.stem, first.format);
    let untold = candidates[1..].iter().filter(|other| !twin(other) && (!usual || rival(other)));
    let others: Vec<String> = untold.map(|other| other.name.clone()).take(SHOWN).collect();
    if !others.is_empty() {
        notes.push(Note::Weights { taken: taken.clone(), others });
    }
    if first.variant == Variant::WithoutAverage {
        warnings.push(Warning::RawWeights { weights: taken.clone(), average: None });
    }
    Ok(taken)
}

/// Whether there is anything that may be weights in `dir`.
pub(super) fn any(dir: &Path) -> Option<String> {
    candidates(dir).ok()?.into_iter().next().map(|candidate| candidate.name)
}

/// All files of weights, the best first; of the shards of an index, the index alone.
fn candidates(dir: &Path) -> Result<Vec<Candidate>, PipelineError> {
    let io = |source| PipelineError::Io { path: dir.into(), action: "read", source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        // A name that is no UTF-8 is none of these.
        let name = entry.map_err(io)?.file_name().into_string();
        found.extend(name.ok().and_then(|name| candidate(&name)));
    }
    found.sort();
    let indices: Vec<Candidate> = found.iter().filter(|candidate| candidate.kind == Kind::Index).cloned().collect();
    let covered =
        |shard: &Candidate| indices.iter().any(|index| (index.stem, index.format) == (shard.stem, shard.format));
    let mut sets = Vec::new();
    found.retain(|candidate| {
        if candidate.kind != Kind::Shard {
            return true;
        }
        // The first shard stands for its set.
        let set = (candidate.variant, candidate.stem, candidate.format);
        let new = !sets.contains(&set);
        sets.push(set);
        new && !covered(candidate)
    });
    Ok(found)
}

/// What a file is by its name, if weights.
fn candidate(name: &str) -> Option<Candidate> {
    let (text, is_index) = match name.strip_suffix(".json") {
        Some(text) if text.contains(".index") => (text.replacen(".index", "", 1), true),
        Some(_) => return None,
        None => (name.to_owned(), false),
    };
    let shard = shard_numbers(&text).map(|(before, _, _, after)| format!("{before}{after}"));
    let kind = match (is_index, &shard) {
        (true, _) => Kind::Index,
        (false, Some(_)) => Kind::Shard,
        (false, None) => Kind::Whole,
    };
    let text = shard.unwrap_or(text);
    let (stem, rest) = text.split_once('.').filter(|(stem, _)| !stem.is_empty())?;
    let words: Vec<&str> = rest.split('.').collect();
    let format = if is_index { words.iter().find_map(|&word| format_of(word))? } else { format_of(words.last()?)? };
    if NO_WEIGHTS.iter().any(|other| stem.starts_with(other)) {
        return None;
    }
    let number = || {
        let digits = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
        Reverse(digits.max().unwrap_or(0))
    };
    let stem = match stem {
        "diffusion_pytorch_model" => Stem::Diffusers,
        "model" => Stem::Model,
        "pytorch_model" => Stem::PytorchModel,
        // `.bin` is the name of everything.
        _ if words.contains(&"bin") => return None,
        _ if is_average(name) => Stem::Average(number()),
        _ => Stem::Other(number()),
    };
    // Only where the name is a known one are its words variants of it.
    let known = matches!(stem, Stem::Diffusers | Stem::Model | Stem::PytorchModel);
    let variant =
        words.iter().find(|&&word| format_of(word).is_none() && known).map_or(Variant::Full, |&word| match word {
            "fp32" | "ema" => Variant::Full,
            "fp16" => Variant::F16,
            "bf16" => Variant::BF16,
            "non_ema" => Variant::WithoutAverage,
            _ => Variant::Other,
        });
    Some(Candidate { variant, stem, format, kind, name: name.to_owned() })
}

/// The format of which `extension` is one.
fn format_of(extension: &str) -> Option<Format> {
    match extension {
        "safetensors" => Some(Format::Safetensors),
        "bin" | "pt" | "pth" | "ckpt" => Some(Format::Pickle),
        _ => None,
    }
}

/// What may be meant where no weights are found.
fn hint(dir: &Path) -> String {
    let names =
        fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    let unfinished = [".incomplete", ".part", ".crdownload", ".download", ".tmp", ".aria2"];
    let found =
        |endings: &[&str]| names.iter().find(|name| endings.iter().any(|ending| name.ends_with(ending))).cloned();
    if let Some(name) = found(&unfinished) {
        return format!("; {name} looks like a download that did not finish");
    }
    if let Some(name) = found(&[".msgpack", ".h5", ".onnx", ".onnx_data", ".ot", ".gguf", ".npz"]) {
        return format!("; {name} is of a format that is not read, save the model in PyTorch with save_pretrained");
    }
    let above = dir.parent().filter(|_| dir.ends_with("unet")).and_then(|parent| Some((parent, any(parent)?)));
    match above {
        Some((parent, name)) => format!("; {name} is in {}, move it into {}", parent.display(), dir.display()),
        None if names.is_empty() => "; the directory is empty".into(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| fs::write(dir.path().join(name), "").unwrap());
        candidates(dir.path()).unwrap().into_iter().map(|candidate| candidate.name).collect()
    }

    #[test]
    fn the_best_weights_come_first() {
        let names = [
            "diffusion_pytorch_model.safetensors.index.json",
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.bin.index.json",
            "diffusion_pytorch_model.bin",
            "model.safetensors",
            "pytorch_model.bin",
            "ema_0.9999_200000.pt",
            "ema_0.9999_100000.pt",
            "model210000.pt",
            "model090000.pt",
            "diffusion_pytorch_model.safetensors.index.fp16.json",
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.fp16.bin",
            "diffusion_pytorch_model.bf16.safetensors",
            "diffusion_pytorch_model.non_ema.safetensors",
            "diffusion_pytorch_model.non_ema.bin",
        ];
        for rest in (0..names.len()).map(|first| &names[first..]) {
            let found = order(rest);
            assert_eq!(found, rest);
        }
    }

    #[test]
    fn shards_stand_behind_their_index_or_for_themselves() {
        let shards = ["diffusion_pytorch_model-00002-of-00002.bin", "diffusion_pytorch_model-00001-of-00002.bin"];
        assert_eq!(order(&shards), ["diffusion_pytorch_model-00001-of-00002.bin"]);
        let index = "diffusion_pytorch_model.bin.index.json";
        assert_eq!(order(&[index, shards[0], shards[1]]), [index]);
    }

    #[test]
    fn one_file_beside_several_is_not_used_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (index, one) = ("diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.safetensors");
        let shards = [1, 2].map(|n| format!("diffusion_pytorch_model-0000{n}-of-00002.safetensors"));
        let write = |name: &str| fs::write(dir.path().join(name), "").unwrap();
        let found = || {
            let mut notes = Vec::new();
            (find(dir.path(), &mut notes, &mut Vec::new()).unwrap(), notes)
        };
        shards.iter().for_each(|name| write(name));
        write(index);
        assert_eq!(found(), (dir.path().join(index), vec![]));
        write(one);
        let taken = dir.path().join(index);
        assert_eq!(found(), (taken.clone(), vec![Note::Weights { taken, others: vec![one.into()] }]));
    }

    #[test]
    fn what_only_stands_beside_weights_is_left() {
        let names = [
            "optimizer.bin",
            "scheduler.bin",
            "optimizer.pt",
            "random_states_0.pkl",
            "config.json",
            "training_args.bin",
            "arbitrary.bin",
            "model_index.json",
            "scaler.pt",
            "opt200000.pt",
            ".safetensors",
            "README.md",
        ];
        assert_eq!(order(&names), [""; 0]);
    }
}
