//! Which of the known names somebody may have meant.

/// The name in `known` that is nearest to `name`: the same but for case and separators, one that begins with it or contains it, or
/// the one with the fewest slips (a letter wrong, missing or too many, or two neighbours swapped), at most one for three letters.
///
/// # Examples
/// ```
/// use sfumato_schedule::nearest;
///
/// assert_eq!(nearest("linaer", &["linear", "cosine"]), Some("linear"));
/// assert_eq!(nearest("Trail", &["leading", "trailing"]), Some("trailing"));
/// assert_eq!(nearest("scaled_linear", &["linear", "scaled-linear"]), Some("scaled-linear"));
/// assert_eq!(nearest("fashon-mnist", &["fashion-mnist-mini", "fashion-mnist"]), Some("fashion-mnist"));
/// assert_eq!(nearest("quartic", &["linear", "cosine"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> { text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let wanted = plain(name);
    let rank = |known: &str| {
        let known = plain(known);
        let slips = slips(&wanted, &known);
        let part = wanted.len() >= 3 && known.windows(wanted.len()).any(|window| window == wanted);
        let begins = part && known.starts_with(&wanted);
        // A part is as good as one slip: "mnist" is no other word than "fashion-mnist" by its length.
        let rank = if part { slips.min(1) } else { slips };
        (rank <= wanted.len().max(known.len()) / 3).then_some((rank, !begins, slips))
    };
    known.iter().filter_map(|known| Some((rank(known)?, *known))).min().map(|(_, known)| known)
}

/// `; did you mean …?` for the nearest name, or nothing.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// Letters to insert, remove, change or swap with their neighbour to make `a` of `b`: the optimal string alignment.
fn slips(a: &[char], b: &[char]) -> usize {
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
    fn slips_are_counted() {
        let count = |a: &str, b: &str| slips(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("linear", "linear"), 0);
        assert_eq!(count("linaer", "linear"), 1);
        assert_eq!(count("cosin", "cosine"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }

    #[test]
    fn the_likeliest_name_is_found_and_no_far_one() {
        let keys = ["learning_rate", "warmup_steps", "decay", "steps", "batch_size", "checkpoint_every", "channels"];
        for (typed, expected) in [
            ("learning_rat", Some("learning_rate")),
            ("learningRate", Some("learning_rate")),
            ("warmup", Some("warmup_steps")),
            ("step", Some("steps")),
            ("batchsize", Some("batch_size")),
            ("chanels", Some("channels")),
            ("colour", None),
        ] {
            assert_eq!(nearest(typed, &keys), expected, "{typed}");
        }
    }

    #[test]
    fn nothing_is_near_to_nothing() {
        assert_eq!(nearest("", &["linear"]), None);
        assert_eq!(nearest("x", &["linear", "cosine"]), None);
        assert_eq!(nearest("linear", &[]), None);
    }
}
