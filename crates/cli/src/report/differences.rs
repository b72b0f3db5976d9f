//! Tables as keys and values, and what differs between several of them.

use std::collections::HashMap;

/// A key with its parents before it, and the value as text.
pub(super) type Entries = Vec<(String, String)>;

/// The values of a TOML table, one a line of the table.
pub(super) fn of_toml(table: &toml::Table) -> Entries {
    fn add(key: &str, value: &toml::Value, entries: &mut Entries) {
        match value {
            toml::Value::Table(table) => {
                table.iter().for_each(|(name, value)| add(&format!("{key}.{name}"), value, entries))
            }
            toml::Value::String(text) => entries.push((key.to_owned(), text.clone())),
            value => entries.push((key.to_owned(), value.to_string())),
        }
    }
    let mut entries = Vec::new();
    table.iter().for_each(|(name, value)| add(name, value, &mut entries));
    entries
}

/// The values of a JSON object.
pub(super) fn of_json(value: &serde_json::Value) -> Entries {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) if list.iter().all(serde_json::Value::is_string) => {
            list.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    };
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A key whose values differ, and the value in each of the tables that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) key: String,
    pub(super) values: Vec<Option<String>>,
}

/// The keys that are not the same everywhere, in the order in which they first come.
pub(super) fn differences(tables: &[Entries]) -> Vec<Difference> {
    let maps: Vec<HashMap<&str, &str>> = tables
        .iter()
        .map(|entries| entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
        .collect();
    let mut found: Vec<Difference> = Vec::new();
    for (key, _) in tables.iter().flatten() {
        let values: Vec<Option<String>> =
            maps.iter().map(|map| map.get(key.as_str()).map(|&value| value.to_owned())).collect();
        let differs = values.iter().any(|value| *value != values[0]);
        if differs && !found.iter().any(|known| known.key == *key) {
            found.push(Difference { key: key.clone(), values });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Entries {
        of_toml(&text.parse().unwrap())
    }

    #[test]
    fn nested_keys_are_found_and_equal_ones_are_not() {
        let a = entries("seed = 1\n[model]\nkind = \"unet\"\nchannels = [8, 16]\n[[plan]]\nsteps = 3");
        let b = entries("seed = 1\n[model]\nkind = \"unet\"\nchannels = [8, 32]\nextra = true");
        let found = differences(&[a, b]);
        let keys: Vec<&str> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["model.channels", "plan", "model.extra"]);
        assert_eq!(found[0].values, [Some("[8, 16]".to_owned()), Some("[8, 32]".to_owned())]);
        assert_eq!(found[2].values, [None, Some("true".to_owned())]);
    }

    #[test]
    fn lists_of_words_read_as_words() {
        let value = serde_json::json!({ "cpu_features": ["avx2", "fma"], "threads": 2, "backend": "flex" });
        let expected = [("cpu_features", "avx2, fma"), ("threads", "2"), ("backend", "flex")];
        assert_eq!(of_json(&value), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
