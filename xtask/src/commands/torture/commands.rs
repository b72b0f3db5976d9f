//! Commands as people type them.

use std::path::Path;

/// The command, run in `dir`, as a line for a shell.
pub(super) fn shown(dir: &Path, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("cd {} && {}", quoted(&dir.to_string_lossy()), words.join(" "))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_that_were_meant() {
        let words = ["sh", "-c", r#"exec "$@" 2>&-"#, "it's", ""].map(str::to_owned);
        assert_eq!(shown(Path::new("/tmp/x"), &words), r#"cd /tmp/x && sh -c 'exec "$@" 2>&-' 'it'\''s' ''"#);
    }
}
