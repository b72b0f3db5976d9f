//! "Did you mean": the known name that is closest to what was typed.

/// The name among `known` that `typed` was probably meant to be: the same but for case and separators, one that begins with it
/// or contains it, or the one with the fewest slips (letters wrong, missing, too many or swapped), a third of its length at most.
///
/// # Examples
/// ```
/// use sfumato_train::closest;
///
/// let known = ["fashion-mnist-mini", "fashion-mnist", "swiss-roll"];
/// assert_eq!(closest("Fashion_MNIST", known), Some("fashion-mnist"));
/// assert_eq!(closest("swissroll", known), Some("swiss-roll"));
/// assert_eq!(closest("fashon-mnist", known), Some("fashion-mnist"));
/// assert_eq!(closest("imagenet", known), None);
/// ```
pub fn closest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<Vec<_>>();
    let wanted = plain(typed);
    let rank = |name: &str| {
        let name = plain(name);
        let slips = distance(&wanted, &name);
        let part = wanted.len() >= 3 && name.windows(wanted.len()).any(|window| window == wanted);
        // A part is as good as one slip: "mnist" is no other word than "fashion-mnist" by its length.
        let rank = if part { slips.min(1) } else { slips };
        (rank <= wanted.len().max(name.len()) / 3).then_some((rank, slips))
    };
    known.into_iter().filter_map(|name| Some((rank(name)?, name))).min().map(|(_, name)| name)
}

/// `: did you mean 'NAME'?`, or nothing.
pub(crate) fn question<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(typed, known).map_or_else(String::new, |name| format!(": did you mean '{name}'?"))
}

/// Slips between two words: letters changed, left out, put in, or two neighbours swapped (the restricted edit distance of
/// Damerau and Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let count = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        for (a, b, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("cuad", "cuda", 1),
        ] {
            assert_eq!((count(a, b), count(b, a)), (slips, slips), "{a} {b}");
        }
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
            ("", None),
        ] {
            assert_eq!(closest(typed, keys), expected, "{typed}");
        }
    }
}
