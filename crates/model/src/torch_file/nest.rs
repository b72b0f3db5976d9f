//! Where in a checkpoint the dictionary of tensors is.
//!
//! Training programs save weights beside the optimizer's state, counters and settings: `{"model": …, "ema": …, "epoch": 3}`.

use std::collections::HashSet;

use super::value::{Id, Value, Values};
use crate::state_names::is_average;

/// Dictionaries within dictionaries that are looked into.
const DEPTH: usize = 3;
/// Places named in a note.
const SHOWN: usize = 6;

/// The dictionary that was chosen.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dict: Id,
    /// What to say, where there was a choice.
    pub(super) note: Option<String>,
}

/// A dictionary with tensors in it.
struct Candidate {
    dict: Id,
    /// Its keys from the root, joined by dots.
    path: String,
    tensors: usize,
    /// Whether it has one of the wanted tensors.
    wanted: bool,
}

/// The dictionary of tensors below `root`: `root` itself if there is none.
pub(super) fn find(values: &Values, root: Id, anchors: &[&str]) -> Place {
    let mut found = Vec::new();
    collect(values, root, String::new(), anchors, &mut HashSet::new(), &mut found);
    // Those of the wanted network, if any is; averages before the root before what it holds.
    if found.iter().any(|candidate| candidate.wanted) {
        found.retain(|candidate| candidate.wanted);
    }
    found.sort_by_key(|candidate| {
        let kind = match candidate.path.as_str() {
            path if is_average(path) => 0,
            "" => 1,
            "state_dict" | "model_state_dict" | "model" | "unet" | "net" | "network" | "module" => 2,
            _ => 3,
        };
        (kind, usize::MAX - candidate.tensors)
    });
    let Some(first) = found.first() else { return Place { dict: root, note: None } };
    let note = (found.len() > 1).then(|| {
        let paths: Vec<String> = found.iter().take(SHOWN).map(|candidate| name(&candidate.path)).collect();
        format!("the file holds tensors at {}; those at {} are taken", paths.join(", "), paths[0])
    });
    Place { dict: first.dict, note }
}

fn collect(
    values: &Values,
    id: Id,
    path: String,
    anchors: &[&str],
    seen: &mut HashSet<Id>,
    found: &mut Vec<Candidate>,
) {
    // A dictionary may hold itself.
    let Value::Dict(entries) = values.get(id) else { return };
    if !seen.insert(id) {
        return;
    }
    let named = || entries.iter().filter_map(|&(key, value)| Some((values.text(key)?, value)));
    let is_tensor = |value: Id| matches!(values.get(value), Value::Tensor(_));
    let tensors = named().filter(|&(_, value)| is_tensor(value)).count();
    if tensors > 0 {
        let wanted =
            named().any(|(name, value)| is_tensor(value) && anchors.iter().any(|anchor| name.ends_with(anchor)));
        found.push(Candidate { dict: id, path: path.clone(), tensors, wanted });
    }
    if path.matches('.').count() + 1 >= DEPTH && !path.is_empty() {
        return;
    }
    for (key, value) in named() {
        let key: String = key.chars().take(40).collect();
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        collect(values, value, path, anchors, seen, found);
    }
}

fn name(path: &str) -> String {
    if path.is_empty() { "its root".into() } else { format!("`{path}`") }
}
