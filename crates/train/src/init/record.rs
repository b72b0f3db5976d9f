//! What a run took of the model that it started from, in its directory.

use std::path::Path;

use serde_json::{Map, Value, json};
use sfumato_model::params::Transfer;

use super::Source;
use crate::{TrainError, write::write_atomically};

/// Where a run keeps it.
const FILE: &str = "init.json";

/// Writes what was taken, what is new and what was left out, by name, into the run's directory.
pub(crate) fn write(run: &Path, source: &Source, transfer: &Transfer) -> Result<(), TrainError> {
    let by_name = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(name, about)| (name.clone(), about.as_str().into())).collect()
    };
    let record = json!({
        "from": source.dir().display().to_string(),
        "sha256": source.sha256(),
        "taken": transfer.whole,
        "taken_in_part": by_name(&transfer.in_part),
        "new": by_name(&transfer.new),
        "left_out": transfer.left_out,
    });
    write_atomically(&run.join(FILE), format!("{record:#}\n").as_bytes())
}
