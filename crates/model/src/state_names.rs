//! The names of a network's tensors in a state dict of somebody else's program.
//!
//! Wrappers leave their names before those of the network: `module.` (data parallelism), `_orig_mod.` (a compiled module),
//! `unet.` or `model.` (a field of a larger module). Where the network begins is seen by a tensor that each network has.

use std::collections::BTreeMap;

/// Tensors that the networks of this crate have, whichever they are; the first that is found anywhere decides.
pub(crate) const DIFFUSERS: &[&str] = &["time_embedding.linear_1.weight", "conv_in.weight"];
/// The same for the networks of OpenAI's projects.
pub(crate) const OPENAI: &[&str] = &["input_blocks.0.0.weight", "time_embed.0.weight"];

/// What a compiled module adds before the names of its parts, wherever it stands.
const COMPILED: &str = "_orig_mod.";
/// Counters and tables that other layers keep beside their weights; no network here has a use for them.
const BUFFERS: [&str; 2] = ["num_batches_tracked", "position_ids"];
/// Names shown of a list.
const SHOWN: usize = 4;

/// Where a network's tensors are among those that a file stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The stored name of each of the network's names.
    pub(crate) names: BTreeMap<String, String>,
    /// Choices that were made, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// Finds the network that has one of the tensors `anchors` among `stored` names. Without such a tensor all names stay.
pub(crate) fn select<'a>(stored: impl Iterator<Item = &'a str>, anchors: &[&str]) -> Selection {
    let names: Vec<(String, &str)> = stored.map(|name| (name.replace(COMPILED, ""), name)).collect();
    let mut prefixes = anchors.iter().map(|anchor| prefixes(&names, anchor)).find(|found| !found.is_empty());
    let prefixes = prefixes.get_or_insert_default();
    prefixes.sort_by_key(|prefix| (rank(prefix), prefix.len(), (*prefix).to_owned()));
    let chosen = prefixes.first().copied().unwrap_or_default().to_owned();
    let others: Vec<String> = prefixes.iter().skip(1).map(|prefix| (*prefix).to_owned()).collect();

    let mut selection = Selection::default();
    let mut left_out = Vec::new();
    for (name, stored) in names.iter().filter(|(name, _)| !is_buffer(name)) {
        let elsewhere = |prefix: &String| name.starts_with(prefix) && prefix.len() > chosen.len();
        match name.strip_prefix(&chosen).filter(|_| !others.iter().any(elsewhere)) {
            Some(own) => {
                selection.names.insert(own.to_owned(), (*stored).to_owned());
            }
            None if others.iter().any(|prefix| name.starts_with(prefix)) => {}
            None => left_out.push(*stored),
        }
    }
    if !others.is_empty() {
        let all: Vec<String> = std::iter::once(&chosen).chain(&others).map(|prefix| quoted(prefix)).collect();
        selection.notes.push(format!(
            "the file holds the network {} times, with names that begin with {}; those with {} are taken",
            all.len(),
            all.join(", "),
            all[0]
        ));
    }
    if !left_out.is_empty() {
        let shown = left_out.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let more = if left_out.len() > SHOWN { ", …" } else { "" };
        selection.notes.push(format!(
            "the network's tensors have names that begin with {}; {} other tensors are left out: {shown}{more}",
            quoted(&chosen),
            left_out.len()
        ));
    }
    selection
}

/// What stands before `anchor` in the names that end with it.
fn prefixes<'a>(names: &'a [(String, &str)], anchor: &str) -> Vec<&'a str> {
    let before = |name: &'a str| name.strip_suffix(anchor).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
    names.iter().filter_map(|(name, _)| before(name)).collect()
}

/// Averages first, then the names as they are.
fn rank(prefix: &str) -> usize {
    match prefix {
        prefix if is_average(prefix) => 0,
        "" => 1,
        _ => 2,
    }
}

/// Whether a name is that of a moving average of weights: `ema`, `model_ema`, `ema_model.module`.
pub(crate) fn is_average(name: &str) -> bool {
    name.to_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| matches!(word, "ema" | "averaged"))
}

fn is_buffer(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| BUFFERS.contains(&last))
}

fn quoted(prefix: &str) -> String {
    if prefix.is_empty() { "no prefix".into() } else { format!("`{prefix}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stored: &[&str]) -> Selection {
        select(stored.iter().copied(), DIFFUSERS)
    }

    #[test]
    fn wrappers_are_taken_off() {
        for prefix in ["", "module.", "unet.", "model.", "_orig_mod.", "module._orig_mod.", "model.diffusion_model."] {
            let stored = ["conv_in.weight", "time_embedding.linear_1.weight"].map(|name| format!("{prefix}{name}"));
            let found = of(&stored.each_ref().map(String::as_str));
            assert_eq!(found.names["conv_in.weight"], stored[0], "{prefix}");
            assert_eq!((found.names.len(), found.notes.len()), (2, 0), "{prefix}");
        }
        let inner = of(&["conv_in.weight", "mid_block._orig_mod.resnets.0.conv1.weight"]);
        assert!(inner.names.contains_key("mid_block.resnets.0.conv1.weight"));
    }

    #[test]
    fn the_average_is_taken_and_it_is_said() {
        let found = of(&["model.conv_in.weight", "ema_model.conv_in.weight", "model.x", "ema_model.x", "logvar"]);
        assert_eq!(found.names["conv_in.weight"], "ema_model.conv_in.weight");
        assert_eq!(found.names.len(), 2);
        assert!(found.notes[0].contains("2 times") && found.notes[0].contains("`ema_model.` are taken"));
        assert!(found.notes[1].contains("1 other tensors are left out: logvar"), "{:?}", found.notes);
        let raw = of(&["conv_in.weight", "ema.conv_in.weight"]);
        assert_eq!(raw.names["conv_in.weight"], "ema.conv_in.weight");
        // Within a name the letters mean nothing.
        assert!(!is_average("schema.") && !is_average("cinema_model.") && is_average("model_ema.module."));
    }

    #[test]
    fn names_without_a_network_stay_and_counters_go() {
        let found = of(&["a.weight", "b.num_batches_tracked", "c.position_ids"]);
        assert_eq!(found.names.into_iter().collect::<Vec<_>>(), [("a.weight".to_owned(), "a.weight".to_owned())]);
    }

    #[test]
    fn parts_that_only_look_alike_are_no_network() {
        let stored = ["vae.conv_in.weight", "unet.conv_in.weight", "unet.time_embedding.linear_1.weight"];
        let found = of(&stored);
        assert_eq!(found.names["conv_in.weight"], "unet.conv_in.weight");
        assert!(found.notes[0].contains("vae.conv_in.weight"));
    }
}
