//! What was found, as a page of the book and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::super::bench::machine;
use super::JSON;
use super::device::Device;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    what: String,
    value: String,
    /// Whether it is as it should be, where that can be said.
    passed: Option<bool>,
    /// The number behind it, for programs.
    number: Option<f64>,
}

impl Finding {
    /// Something that is as it should be.
    pub(super) fn passed(what: &str, value: &str) -> Self {
        Self { what: what.to_owned(), value: value.trim().to_owned(), passed: Some(true), number: None }
    }

    /// Something that is neither good nor bad.
    pub(super) fn told(what: &str, value: &str) -> Self {
        let number = value.parse().ok();
        Self { what: what.to_owned(), value: value.to_owned(), passed: None, number }
    }

    /// A number with a limit.
    pub(super) fn at_most(what: &str, number: f64, limit: f64) -> Self {
        let value = format!("{} (at most {limit})", short(number));
        Self { what: what.to_owned(), value, passed: Some(number <= limit), number: Some(number) }
    }

    /// Images a second.
    pub(super) fn rate(what: &str, by: &str, rate: f64) -> Self {
        Self {
            what: format!("{what}: {by}"),
            value: format!("{} images/s", short(rate)),
            passed: None,
            number: Some(rate),
        }
    }
}

/// A few digits.
fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.1e}"),
    }
}

/// A part, and how it ended.
struct Part {
    name: &'static str,
    found: Result<Vec<Finding>, String>,
    seconds: f64,
}

/// Everything that was found.
pub(super) struct Report {
    command: String,
    facts: Vec<(String, String)>,
    quick: bool,
    parts: Vec<Part>,
}

impl Report {
    pub(super) fn new(device: &Device, arguments: &[String]) -> Self {
        let mut facts =
            vec![("device".to_owned(), device.name()), ("backend".to_owned(), device.options.backend.clone())];
        facts.extend(machine::facts().map(|(name, value)| (name.to_owned(), value)));
        let command = format!("cargo xtask gpu {}", arguments.join(" "));
        Self { command: command.trim_end().to_owned(), facts, quick: device.options.quick, parts: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &'static str, found: anyhow::Result<Vec<Finding>>, time: Duration) {
        let found = found.map_err(|error| format!("{error:#}"));
        if let Err(error) = &found {
            eprintln!("{name}: FAILED: {error}");
        }
        self.parts.push(Part { name, found, seconds: time.as_secs_f64() });
    }

    pub(super) fn passed(&self) -> bool {
        let good = |found: &Finding| found.passed != Some(false);
        self.parts.iter().all(|part| part.found.as_ref().is_ok_and(|found| found.iter().all(good)))
    }

    /// Writes `gpu.json` and `gpu.md`.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, text) in [(JSON, format!("{:#}\n", self.json())), ("gpu.md", self.page())] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("{}", path.display());
        }
        Ok(())
    }

    /// The page of the book.
    pub(super) fn page(&self) -> String {
        let mut page = String::from("# On a GPU\n\n");
        if self.quick {
            page += "A quick look with tiny networks: its times say nothing.\n\n";
        }
        let _ = writeln!(page, "```sh\n{}\n```\n", self.command);
        for (name, value) in &self.facts {
            let _ = writeln!(page, "- {name}: {value}");
        }
        for part in &self.parts {
            let _ = writeln!(page, "\n## {} ({:.0} s)\n", part.name, part.seconds);
            match &part.found {
                Err(error) => {
                    let _ = writeln!(page, "**Failed**\n\n```text\n{}\n```", error.trim_end());
                }
                Ok(found) => {
                    page += "| what | found | |\n| --- | --- | --- |\n";
                    for Finding { what, value, passed, .. } in found {
                        let verdict = match passed {
                            Some(true) => "passed",
                            Some(false) => "**failed**",
                            None => "",
                        };
                        let _ = writeln!(page, "| {} | {} | {verdict} |", cell(what), cell(value));
                    }
                }
            }
        }
        page
    }

    fn json(&self) -> Value {
        let finding = |found: &Finding| json!({ "what": found.what, "value": found.value, "number": found.number, "passed": found.passed });
        let part = |part: &Part| match &part.found {
            Ok(found) => {
                let found: Vec<Value> = found.iter().map(finding).collect();
                json!({ "part": part.name, "seconds": part.seconds, "found": found })
            }
            Err(error) => json!({ "part": part.name, "seconds": part.seconds, "error": error }),
        };
        let facts: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let parts: Vec<Value> = self.parts.iter().map(part).collect();
        json!({ "command": self.command, "quick": self.quick, "machine": facts, "passed": self.passed(), "parts": parts })
    }
}

/// Text that does not end a table's cell, and is no markup.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report { command: "cargo xtask gpu".into(), facts: Vec::new(), quick: false, parts: Vec::new() }
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let time = Duration::from_secs(2);
        let mut report = report();
        report.add("start", Ok(vec![Finding::told("seconds", "3.5"), Finding::at_most("apart", 0.001, 0.01)]), time);
        assert!(report.passed());
        assert!(report.page().contains("| apart | 1.0e-3 (at most 0.01) | passed |"), "{}", report.page());
        report.add("resume", Ok(vec![Finding::at_most("apart", f64::NAN, 0.01)]), time);
        assert!(!report.passed() && report.page().contains("**failed**"));
        report.parts.pop();
        report.add("speed", Err(anyhow::anyhow!("a | b")), time);
        assert!(!report.passed() && report.page().contains("## speed (2 s)\n\n**Failed**\n\n```text\na | b\n"));
        assert_eq!(report.json()["parts"][0]["found"][1]["number"], 0.001);
        assert_eq!(report.json()["passed"], false);
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!([0.0, 0.00123, 0.5, 12.345, 1234.5].map(short), ["0", "1.2e-3", "0.50", "12.35", "1234"]);
        assert_eq!(Finding::rate("training", "here", 250.0).value, "250 images/s");
    }
}
