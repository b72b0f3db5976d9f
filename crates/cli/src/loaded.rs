//! What loading a data set has to say.

use sfumato_train::data::Dataset;

/// Unreadable files that are named; a folder can have thousands.
const NAMED: usize = 5;

/// Says on stderr how the data was read and what was left out.
pub(crate) fn tell(data: &Dataset) {
    for note in data.notes() {
        eprintln!("note: {note}");
    }
    let skipped = data.skipped();
    for file in skipped.iter().take(NAMED) {
        eprintln!("warning: left out {}: {}", file.path.display(), file.reason);
    }
    if skipped.len() > NAMED {
        eprintln!("warning: … and {} more", skipped.len() - NAMED);
    }
}
