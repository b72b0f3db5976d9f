//! Names that somebody may have meant.

/// The known names that are near to one, nearest first: those that hold it or are held by it, and those with few letters changed.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    let distance = |other: &str| {
        let within = name.len() >= 3 && (other.contains(name) || name.contains(other));
        if within { 0 } else { edits(name, other) }
    };
    let mut near: Vec<(usize, &str)> = known.iter().map(|other| (distance(other), *other)).collect();
    near.retain(|(distance, _)| *distance <= most);
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, name)| name).collect()
}

/// Letters to insert, remove or replace (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = corner + usize::from(b[j] != letter);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)] {
            assert_eq!((edits(a, b), edits(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn near_names_come_in_order() {
        let known = ["seeds", "peer", "speed"];
        assert_eq!(nearest("seed", &known), ["seeds", "speed"]);
        assert!(nearest("zzzz", &known).is_empty());
    }
}
