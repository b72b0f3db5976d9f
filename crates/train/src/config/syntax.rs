//! What is wrong with the text of a configuration, said for people: the key, the value, and what was probably meant.

use sfumato_schedule::ScheduleConfig;
use sfumato_schedule::nearest;

use super::{MlpSpec, ModelConfig, TrainConfig};
use crate::TrainError;

/// Keys whose numbers begin at 1; the type alone says 0.
const FROM_ONE: [&str; 7] = [
    "training.steps",
    "training.batch_size",
    "training.shards",
    "training.log_every",
    "training.checkpoint_every",
    "samples.num",
    "samples.steps",
];

/// The error for what the TOML parser found, in `origin`. `key` is where, if it is known; the parser says it of tables alone.
pub(super) fn error(origin: &str, found: &toml::de::Error, key: Option<&str>) -> TrainError {
    said(origin, found, key_of(found).or(key.map(str::to_owned)).unwrap_or_default())
}

/// The same for an error that a value which was set by itself is the cause of: the parser knows the key of its table alone, where the table
/// is of one of several kinds.
pub(super) fn error_of_value(origin: &str, found: &toml::de::Error, key: &str) -> TrainError {
    let known = key_of(found).filter(|known| known.len() >= key.len() || !found.message().starts_with("invalid"));
    said(origin, found, known.unwrap_or_else(|| key.to_owned()))
}

fn said(origin: &str, found: &toml::de::Error, mut key: String) -> TrainError {
    let whole = found.to_string();
    let whole = whole.trim_end();
    let said = found.message();
    if ["objective.weight.kind", "objective.density.kind"].contains(&key.as_str()) {
        // Whoever wrote the name alone knows no `kind`.
        key.truncate(key.len() - ".kind".len());
    }
    let message = match () {
        () if said.starts_with("unknown field") => unknown_key(said, &key),
        () if said.starts_with("unknown variant") => unknown_name(said, &key),
        () => wrong_value(said, &key),
    };
    let message = match (message, whole.find(said)) {
        // The parser's picture of the line comes first, where there is one.
        (Some(message), Some(at)) => format!("{}{message}", &whole[..at]),
        _ => whole.to_owned(),
    };
    TrainError::ConfigSyntax { origin: origin.to_owned(), message }
}

/// The key that an error stands at, which the parser names where it knows no line.
pub(super) fn key_of(found: &toml::de::Error) -> Option<String> {
    let whole = found.to_string();
    let (_, place) = whole.rsplit_once("\nin `")?;
    Some(place.trim_end().trim_end_matches('`').to_owned())
}

/// The words between backticks.
fn quoted(said: &str) -> Vec<&str> {
    said.split('`').skip(1).step_by(2).collect()
}

fn unknown_key(said: &str, table: &str) -> Option<String> {
    let names = quoted(said);
    let (key, known) = names.split_first()?;
    let place = if table.is_empty() { "here".to_owned() } else { format!("in [{table}]") };
    // A key of another table first: it is the right word in the wrong place.
    let elsewhere = all_keys().into_iter().filter(|known| known.rsplit('.').next() == Some(*key));
    // `steps` is one of three: the one that people set most.
    let tables = ["training.", "optimizer.", "data.", "model."];
    let elsewhere = elsewhere.min_by_key(|known| tables.iter().position(|table| known.starts_with(table)).unwrap_or(9));
    let near = || {
        let near = nearest(key, known)?;
        Some(if table.is_empty() { near.to_owned() } else { format!("{table}.{near}") })
    };
    let hint = elsewhere.or_else(near).map_or_else(|| ".".to_owned(), |meant| format!(": did you mean {meant}?"));
    Some(format!("there is no key '{key}' {place}{hint} Keys: {}", known.join(", ")))
}

fn unknown_name(said: &str, key: &str) -> Option<String> {
    let names = quoted(said);
    let (name, known) = names.split_first()?;
    let hint = nearest(name, known).map_or_else(String::new, |name| format!(": did you mean '{name}'?"));
    let key = if key.is_empty() { "it" } else { key };
    Some(format!("{key} must be one of {} (found {name}){hint}", known.join(", ")))
}

/// "invalid value: integer `-5`, expected u64" and its like.
fn wrong_value(said: &str, key: &str) -> Option<String> {
    let (found, expected) = said.strip_prefix("invalid ")?.split_once(", expected ")?;
    let (_, found) = found.split_once(": ")?;
    let value = match (quoted(found).first(), found.strip_prefix("string ")) {
        (Some(value), _) => (*value).to_owned(),
        (None, Some(text)) => text.to_owned(),
        (None, None) => found.to_owned(),
    };
    let whole = |expected: &str| {
        if value.starts_with('-') { expected.to_owned() } else { format!("a whole number, {expected}") }
    };
    let expected = match expected {
        "u64" | "usize" | "u32" if FROM_ONE.contains(&key) => whole("at least 1"),
        "u64" | "usize" | "u32" => whole("at least 0"),
        "i64" | "i32" => "a whole number".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list, as in [1, 2]".to_owned(),
        other if other.starts_with("internally tagged enum") => return Some(of_a_kind(key, &value)),
        other if other.starts_with("struct ") => format!("a table of keys, as in {key}.KEY=VALUE"),
        other => other.to_owned(),
    };
    let key = if key.is_empty() { "the value" } else { key };
    Some(format!("{key} must be {expected} (found {value})"))
}

/// A value in the place of a table that is of one of several kinds: most likely the kind alone.
fn of_a_kind(key: &str, value: &str) -> String {
    let kind = value.trim_matches('"');
    let named = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_');
    let example = if named { format!("{key}.kind=\"{kind}\"") } else { format!("{key}.kind=NAME") };
    format!("{key} must be a table with a kind, as in {example} (found {value})")
}

/// Every key that a configuration can have, dotted, of every kind of network and schedule.
fn all_keys() -> Vec<String> {
    let mlp = TrainConfig { model: ModelConfig::Mlp(MlpSpec::default()), ..TrainConfig::default() };
    let mut keys = Vec::new();
    for config in [TrainConfig::default(), mlp] {
        if let Ok(table) = config.to_toml().parse::<toml::Table>() {
            collect("", &table, &mut keys);
        }
    }
    if let Ok(table) = toml::to_string(&ScheduleConfig::default()).unwrap_or_default().parse::<toml::Table>() {
        collect("diffusion.schedule", &table, &mut keys);
    }
    keys.extend(
        [
            "data.dir",
            "data.image_size",
            "data.channels",
            "data.background",
            "data.labels",
            "data.range",
            "training.shards",
            "training.precision",
            "data.label_dropout",
            "init.from",
            "init.sha256",
            "averages.widths",
            "averages.every",
            "held_out.every",
            "held_out.examples",
            "held_out.share",
        ]
        .map(str::to_owned),
    );
    keys.extend(
        [
            "loss",
            "weight",
            "weight.gamma",
            "weight.k",
            "density.mean",
            "density.deviation",
            "density.scale",
            "density.uniform_share",
            "density.strata",
            "density.unbiased",
        ]
        .map(|key| format!("objective.{key}")),
    );
    keys
}

fn collect(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => collect(&key, table, keys),
            _ => keys.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        TrainConfig::layered(None, Some(&path), &[]).unwrap_err().to_string()
    }

    #[test]
    fn keys_and_names_that_do_not_exist_are_answered_with_the_likeliest() {
        for (text, expected) in [
            (
                "[optimizer]\nlearning_rat = 1e-3",
                "no key 'learning_rat' in [optimizer]: did you mean optimizer.learning_rate?",
            ),
            ("[training]\nbatchsize = 4", "did you mean training.batch_size?"),
            ("steps = 4", "no key 'steps' here: did you mean training.steps?"),
            ("[training]\nlearning_rate = 4", "did you mean optimizer.learning_rate?"),
            ("[model]\nkind = \"unet\"\nchanels = [8]", "did you mean model.channels?"),
            ("[data]\nbatch_size = 4", "did you mean training.batch_size?"),
            ("[data]\ncolour = 4", "no key 'colour' in [data]. Keys: dataset"),
            (
                "[optimizer]\ndecay = \"cosin\"",
                "optimizer.decay must be one of constant, cosine (found cosin): did you mean 'cosine'?",
            ),
            ("[diffusion.schedule]\nkind = \"cosinus\"", "did you mean 'cosine'?"),
            ("[model]\nkind = \"U-Net\"", "did you mean 'unet'?"),
        ] {
            let message = said(text);
            assert!(message.contains(expected) && message.contains("c.toml"), "{text}: {message}");
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_told_what_was_expected() {
        for (text, expected) in [
            ("[training]\nsteps = -5", "training.steps must be at least 1 (found -5)"),
            ("[training]\nsteps = 2.5", "training.steps must be a whole number, at least 1 (found 2.5)"),
            ("[optimizer]\nwarmup_steps = -1", "optimizer.warmup_steps must be at least 0 (found -1)"),
            ("[optimizer]\nlearning_rate = \"fast\"", "optimizer.learning_rate must be a number (found \"fast\")"),
            ("[data]\nflip = \"yes\"", "data.flip must be true or false (found \"yes\")"),
        ] {
            let message = said(text);
            assert!(message.contains(expected) && message.contains("line 2"), "{text}: {message}");
        }
        let overrides = [(vec!["training".to_owned(), "steps".to_owned()], toml::Value::Integer(-5))];
        let message = TrainConfig::layered(None, None, &overrides).unwrap_err().to_string();
        assert!(message.contains("training.steps must be at least 1 (found -5)"), "{message}");
    }

    #[test]
    fn a_value_in_the_place_of_a_table_or_in_one_of_several_kinds_is_named_by_its_key() {
        for (key, value, expected) in [
            ("model.channels", toml::Value::Integer(8), "model.channels must be a list, as in [1, 2] (found 8)"),
            ("model.attention", "x".into(), "model.attention must be a list, as in [1, 2] (found \"x\")"),
            (
                "diffusion.schedule",
                "cosine".into(),
                "must be a table with a kind, as in diffusion.schedule.kind=\"cosine\"",
            ),
            ("model", toml::Value::Integer(1), "model must be a table with a kind, as in model.kind=NAME (found 1)"),
            (
                "training",
                toml::Value::Integer(1),
                "training must be a table of keys, as in training.KEY=VALUE (found 1)",
            ),
        ] {
            let set = |key: &str, value| (key.split('.').map(str::to_owned).collect::<Vec<_>>(), value);
            let overrides =
                [set("optimizer.learning_rate", 1e-3.into()), set(key, value), set("model.groups", 4.into())];
            // A number in the place of the network's table hides what else is set there.
            let count = if key == "model" { 2 } else { 3 };
            let message = TrainConfig::layered(None, None, &overrides[..count]).unwrap_err().to_string();
            assert!(message.contains(expected), "{key}: {message}");
        }
    }

    #[test]
    fn a_network_without_its_kind_is_known_by_its_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            TrainConfig::layered(None, Some(&path), &[]).map(|config| config.model)
        };
        assert!(matches!(read("[model]\ngroups = 4"), Ok(ModelConfig::Unet(spec)) if spec.groups == 4));
        assert!(matches!(read("[model]\nhidden = 4"), Ok(ModelConfig::Mlp(spec)) if spec.hidden == 4));
        let message = read("[model]\nwidth = 4").unwrap_err().to_string();
        assert!(message.contains("no key 'width'"), "{message}");
    }
}
