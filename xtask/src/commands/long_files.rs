//! How long a file may be: a step of `cargo xtask ci`.

use anyhow::ensure;

use super::sources::{Source, all_sources};

/// Lines of a file that a reader keeps in mind.
const LINES: usize = 400;
/// What begins the reason in the first comment of a longer one.
const REASON: &str = "//! Longer than 400 lines, since ";

/// Fails if a file is longer and its first comment does not say why.
pub(super) fn check_lengths() -> anyhow::Result<()> {
    let files = all_sources()?;
    let long: Vec<String> = files.iter().filter_map(complaint).collect();
    ensure!(
        long.is_empty(),
        "longer than {LINES} lines: {}; cut where the subject changes, or say why not in the first comment, in a line that begins \
         with `{REASON}`",
        long.join(", ")
    );
    println!("-- {} source files have at most {LINES} lines, or say why not", files.len());
    Ok(())
}

fn complaint(Source { name, text }: &Source) -> Option<String> {
    let lines = text.lines().count();
    let excused = text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.starts_with(REASON));
    (lines > LINES && !excused).then(|| format!("{name} ({lines})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: String) -> Option<String> {
        complaint(&Source { name: "a.rs".into(), text })
    }

    #[test]
    fn long_files_are_named_unless_they_say_why() {
        assert_eq!(of("\n".repeat(LINES)), None);
        assert_eq!(of("\n".repeat(LINES + 1)), Some("a.rs (401)".into()));
        assert_eq!(of(format!("//! A table.\n//!\n{REASON}it is one table.\n{}", "\n".repeat(LINES))), None);
        // Not in the first comment.
        assert!(of(format!("//! A table.\n\n{REASON}it is one table.\n{}", "\n".repeat(LINES))).is_some());
    }
}
