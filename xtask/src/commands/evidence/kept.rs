//! `docs/results/NAME.json`: figures that are kept, with what it takes to make them again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::figure::Figure;
use super::figures::{Checksum, Picture};
use super::table::shown;
use crate::cargo::root;

/// Everything that is kept of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) name: String,
    /// What makes it again.
    pub(super) command: String,
    /// The day on which it was made.
    pub(super) made: String,
    /// The revision of the code.
    pub(super) revision: String,
    /// Whether something but the documentation differed from that revision.
    pub(super) dirty: bool,
    pub(super) machine: Vec<(String, String)>,
    pub(super) tools: Vec<(String, String)>,
    pub(super) seeds: Vec<(String, u64)>,
    pub(super) checksums: Vec<Checksum>,
    pub(super) commands: Vec<Command>,
    pub(super) pictures: Vec<Picture>,
    pub(super) figures: Vec<Figure>,
}

/// One program that ran.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) command: String,
    pub(super) seconds: f64,
    /// Revision of the code that it ran with: another one where a working folder was used again.
    pub(super) revision: String,
}

/// Where the figures of an experiment are kept.
pub(super) fn path(name: &str) -> PathBuf {
    root().join("docs/results").join(format!("{name}.json"))
}

impl Kept {
    /// What is kept of an experiment; none if nothing is.
    pub(super) fn read(name: &str) -> anyhow::Result<Option<Self>> {
        Self::read_from(&path(name))
    }

    fn read_from(path: &Path) -> anyhow::Result<Option<Self>> {
        let shown = super::shown(path);
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {shown}"))?,
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let kept = serde_json::from_str(&text).map_err(anyhow::Error::new).and_then(|json| Self::of(&json));
        let kept =
            kept.with_context(|| format!("{shown} is damaged; cargo xtask evidence {name} --keep makes it anew"))?;
        if kept.name != name {
            bail!("{shown} holds `{}`: rename it", kept.name);
        }
        Ok(Some(kept))
    }

    /// Writes all of it, if every figure is a number.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let path = path(&self.name);
        if let Some(figure) = self.figures.iter().find(|figure| !figure.is_finite()) {
            bail!(
                "{} is not written: {} is {}, which is no number to keep",
                super::shown(&path),
                figure.name(),
                shown(figure)
            );
        }
        fs::write(&path, format!("{:#}\n", self.json())).with_context(|| format!("cannot write {}", path.display()))
    }

    fn json(&self) -> Value {
        let commands = self.commands.iter().map(
            |Command { command, seconds, revision }| json!({ "command": command, "seconds": seconds, "revision": revision }),
        );
        json!({
            "name": self.name,
            "command": self.command,
            "made": self.made,
            "revision": self.revision,
            "dirty": self.dirty,
            "machine": object(&self.machine),
            "tools": object(&self.tools),
            "seeds": object(&self.seeds),
            "checksums": self.checksums.iter().map(Checksum::json).collect::<Vec<_>>(),
            "commands": commands.collect::<Vec<_>>(),
            "pictures": self.pictures.iter().map(Picture::json).collect::<Vec<_>>(),
            "figures": self.figures.iter().map(Figure::json).collect::<Vec<_>>(),
        })
    }

    fn of(json: &Value) -> anyhow::Result<Self> {
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let command = |json: &Value| {
            let (command, seconds) = (text(json, "command")?, number(json, "seconds")?);
            anyhow::Ok(Command { command, seconds, revision: text(json, "revision")? })
        };
        Ok(Self {
            name: text(json, "name")?,
            command: text(json, "command")?,
            made: text(json, "made")?,
            revision: text(json, "revision")?,
            dirty: json.get("dirty").and_then(Value::as_bool).context("`dirty` is neither true nor false")?,
            machine: members(json, "machine", string)?,
            tools: members(json, "tools", string)?,
            seeds: members(json, "seeds", Value::as_u64)?,
            checksums: each(json, "checksums", Checksum::of)?,
            commands: each(json, "commands", command)?,
            pictures: each(json, "pictures", Picture::of)?,
            figures: each(json, "figures", Figure::of)?,
        })
    }
}

fn object<T: Clone + Into<Value>>(members: &[(String, T)]) -> Value {
    Value::Object(members.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect())
}

/// A text of an object.
pub(super) fn text(json: &Value, key: &str) -> anyhow::Result<String> {
    let text = json.get(key).and_then(Value::as_str).map(str::to_owned);
    text.with_context(|| format!("`{key}` is missing or no text"))
}

/// A number of an object.
pub(super) fn number(json: &Value, key: &str) -> anyhow::Result<f64> {
    json.get(key).and_then(Value::as_f64).with_context(|| format!("`{key}` is missing or no number"))
}

fn members<T>(json: &Value, key: &str, of: impl Fn(&Value) -> Option<T>) -> anyhow::Result<Vec<(String, T)>> {
    let object =
        json.get(key).and_then(Value::as_object).with_context(|| format!("`{key}` is missing or no object"))?;
    let one = |(name, value): (&String, &Value)| {
        let value = of(value).with_context(|| format!("{key}.{name} is of the wrong kind: {value}"))?;
        Ok((name.clone(), value))
    };
    object.iter().map(one).collect()
}

fn each<T>(json: &Value, key: &str, of: impl Fn(&Value) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let list = json.get(key).and_then(Value::as_array).with_context(|| format!("`{key}` is missing or no list"))?;
    list.iter().enumerate().map(|(place, value)| of(value).with_context(|| format!("{key}[{place}]"))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::figure::{Amount, Comparison};
    use super::super::figures::Kind;
    use super::*;

    pub(in super::super) fn example() -> Kept {
        let figure = |row: &str, value, comparison| Figure {
            table: "bound".into(),
            row: row.into(),
            column: "all".into(),
            unit: "bits/dim".into(),
            amount: Amount::Number(value),
            comparison,
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        Kept {
            name: "example".into(),
            command: "cargo xtask evidence example".into(),
            made: "2026-11-29".into(),
            revision: "0123456789ab".into(),
            dirty: true,
            machine: vec![pair("processor", "a"), pair("memory", "b")],
            tools: vec![pair("torch", "2")],
            seeds: vec![("training".into(), u64::MAX)],
            checksums: vec![Checksum { name: "weights of a".into(), kind: Kind::Weights, sha256: "ab".repeat(32) }],
            commands: vec![Command { command: "sfumato train".into(), seconds: 1.5, revision: "0".into() }],
            pictures: vec![Picture { file: "a.png".into(), about: "samples".into(), made: PathBuf::new() }],
            figures: vec![
                figure("total", 3.513_482, Comparison::Interval(0.0088)),
                figure("steps", 3200.0, Comparison::Exact),
            ],
        }
    }

    #[test]
    fn what_is_no_number_is_not_written() {
        let mut kept = example();
        kept.name = "no-number".into();
        for (value, error) in [(f64::NAN, 0.1), (f64::INFINITY, 0.1), (1.0, f64::NAN), (1.0, f64::INFINITY)] {
            kept.figures[0].amount = Amount::Number(value);
            for comparison in [Comparison::Interval(error), Comparison::Tolerance(error)] {
                kept.figures[0].comparison = comparison;
                let error = kept.write().unwrap_err().to_string();
                assert!(error.contains("no-number.json is not written: bound: total, all is "), "{error}");
            }
        }
        assert!(!path("no-number").exists());
    }

    /// A folder for one test.
    pub(in super::super) fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sfumato-xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_written_is_read_back() {
        let kept = example();
        assert_eq!(Kept::of(&serde_json::from_str(&format!("{:#}", kept.json())).unwrap()).unwrap(), kept);
    }

    #[test]
    fn a_damaged_file_is_named_with_the_place_and_the_way_out() {
        let folder = folder("damaged");
        let path = folder.join("example.json");
        let whole = format!("{:#}", example().json());
        assert_eq!(Kept::read_from(&path).unwrap(), None);
        let damages = [
            (whole[..whole.len() / 2].to_owned(), "EOF"),
            (
                whole.replace("\"standard_error\": 0.0088", "\"standard_error\": -1"),
                "figures[0]: `standard_error` is -1",
            ),
            (whole.replace("\"interval\"", "\"guess\""), "figures[0]: `comparison` is `guess`"),
            (whole.replace("\"dirty\": true", "\"dirty\": 1"), "`dirty`"),
            (whole.replace("\"training\": ", "\"training\": -"), "seeds.training"),
            (whole.replace("\"sha256\"", "\"md5\""), "checksums[0]: `sha256`"),
            ("[]".to_owned(), "`name`"),
        ];
        for (text, says) in damages {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", Kept::read_from(&path).unwrap_err());
            assert!(error.contains("example.json is damaged; cargo xtask evidence example --keep"), "{error}");
            assert!(error.contains(says), "{error}");
        }
        fs::write(&path, whole.replace("\"name\": \"example\"", "\"name\": \"other\"")).unwrap();
        assert!(Kept::read_from(&path).unwrap_err().to_string().contains("holds `other`"));
        fs::remove_dir_all(folder).unwrap();
    }
}
