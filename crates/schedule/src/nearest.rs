//! Which of the known names somebody may have meant.

/// The name in `known` that is nearest to `name`, whatever the case and the dashes: one that begins with it, or one that few typing
/// mistakes lead to (a letter more, less or changed, two neighbours swapped; at most one for three letters).
///
/// # Examples
/// ```
/// use sfumato_schedule::nearest;
///
/// assert_eq!(nearest("linaer", &["linear", "cosine"]), Some("linear"));
/// assert_eq!(nearest("Trail", &["leading", "trailing"]), Some("trailing"));
/// assert_eq!(nearest("scaled_linear", &["linear", "scaled-linear"]), Some("scaled-linear"));
/// assert_eq!(nearest("quartic", &["linear", "cosine"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> { text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let name = plain(name);
    let begins = known.iter().find(|known| name.len() >= 3 && plain(known).starts_with(&name));
    let few = |known: &&&str| {
        let known = plain(known);
        let most = name.len().max(known.len()) / 3;
        Some(mistakes(&name, &known)).filter(|count| *count <= most)
    };
    let close = || known.iter().filter(|known| few(known).is_some()).min_by_key(|known| few(known));
    begins.or_else(close).copied()
}

/// `; did you mean …?` for the nearest name, or nothing.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// Letters to insert, remove, change or swap with their neighbour to make `a` of `b`: the optimal string alignment.
fn mistakes(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_counted() {
        let count = |a: &str, b: &str| mistakes(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("linear", "linear"), 0);
        assert_eq!(count("linaer", "linear"), 1);
        assert_eq!(count("cosin", "cosine"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }

    #[test]
    fn nothing_is_near_to_nothing() {
        assert_eq!(nearest("", &["linear"]), None);
        assert_eq!(nearest("x", &["linear", "cosine"]), None);
        assert_eq!(nearest("linear", &[]), None);
    }
}
