//! Lines of at most 80 columns.

/// Columns of a terminal that nobody has made wider.
const WIDTH: usize = 80;

/// `text` behind `first`, wrapped between words; further lines are set in by as many columns as `first` has. A word that is too long
/// for a line, such as a path, stays whole.
pub(super) fn wrapped(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let mut out = first.to_owned();
    let mut column = indent;
    for (n, word) in text.split(' ').enumerate() {
        let len = word.chars().count();
        if n > 0 && column + 1 + len > WIDTH {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if n > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += len;
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_and_lines_short() {
        let text = wrapped("odd: ", &"some words ".repeat(30));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && !line.ends_with(' ')));
        assert!(text.lines().skip(1).all(|line| line.starts_with("     some") || line.starts_with("     words")));
        let path = "p".repeat(100);
        assert_eq!(wrapped("weights ", &format!("a {path} b")), format!("weights a\n        {path}\n        b"));
        assert_eq!(wrapped("row ", ""), "row");
    }
}
