//! What a folder's name says of its pictures.

use std::collections::{BTreeMap, BTreeSet};

/// What a folder's name says of its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Test,
    Validation,
}

/// Names of parts, the preferred ones first.
const NAMES: [(&str, Part); 10] = [
    ("train", Part::Train),
    ("training", Part::Train),
    ("test", Part::Test),
    ("testing", Part::Test),
    ("val", Part::Validation),
    ("valid", Part::Validation),
    ("validation", Part::Validation),
    ("dev", Part::Validation),
    ("eval", Part::Validation),
    ("evaluation", Part::Validation),
];

/// The rank of names that are parts only by their partner, behind all others.
pub(super) const BY_PARTNER: usize = 2 * NAMES.len();

fn known(name: &str) -> Option<(usize, Part)> {
    NAMES.iter().enumerate().find(|(_, (known, _))| *known == name).map(|(i, (_, part))| (i, *part))
}

/// The part that a name stands for, and its place in the order of preference; names with an addition, as in `train2017`,
/// `valid_64x64` or `test_images`, come behind all others.
pub(super) fn part(name: &str) -> Option<(usize, Part)> {
    let name = name.to_lowercase();
    if let Some(exact) = known(&name) {
        return Some(exact);
    }
    let bare = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit() || "x-_ .".contains(c)).to_owned();
    let short = bare(&name);
    let words = ["images", "image", "imgs", "img", "pictures", "set", "data", "split"];
    let word = words.iter().find_map(|word| short.strip_suffix(word));
    known(&short).or_else(|| known(&bare(word?))).map(|(i, part)| (NAMES.len() + i, part))
}

/// The parts among the folders of one place, with their places in the order of preference.
///
/// A name such as `trainA`, `seg_train` or `DIV2K_train_HR` is a part only where folders of the same pattern stand both for
/// training and for what is held out: `freight_train` beside `car` is a class.
pub(super) fn parts(names: &BTreeSet<String>) -> BTreeMap<String, (usize, Part)> {
    let mut found = BTreeMap::new();
    let mut patterns: BTreeMap<Vec<String>, Vec<(&String, Part)>> = BTreeMap::new();
    for name in names {
        match (part(name), pattern(name)) {
            (Some(part), _) => {
                found.insert(name.clone(), part);
            }
            (None, Some((pattern, part, _))) => patterns.entry(pattern).or_default().push((name, part)),
            (None, None) => {}
        }
    }
    for folders in patterns.into_values() {
        let trains = folders.iter().filter(|(_, part)| *part == Part::Train).count();
        if (1..folders.len()).contains(&trains) {
            found.extend(folders.into_iter().map(|(name, part)| (name.clone(), (BY_PARTNER, part))));
        }
    }
    found
}

/// What is left of a name that is a part by its partner: `A` of `trainA`.
pub(super) fn rest(name: &str) -> Option<String> {
    pattern(name).map(|(.., rest)| rest)
}

/// Of a name with exactly one word that is a part: the other words, with a gap in its place, the part, and the rest of the name.
fn pattern(name: &str) -> Option<(Vec<String>, Part, String)> {
    let tokens = tokens(name);
    let part_of = |&(_, word): &(usize, &str)| known(&word.to_lowercase()).map(|(_, part)| part);
    let mut parts = tokens.iter().enumerate().filter_map(|(i, token)| part_of(token).map(|part| (i, part)));
    let ((at, part), None) = (parts.next()?, parts.next()) else { return None };
    let mut pattern: Vec<String> = tokens.iter().map(|(_, word)| word.to_lowercase()).collect();
    pattern[at].clear();
    let (start, word) = tokens[at];
    let punctuation = |c: char| !c.is_alphanumeric();
    let before = name[..start].trim_end_matches(punctuation);
    let after = name[start + word.len()..].trim_start_matches(punctuation);
    let between = if before.is_empty() || after.is_empty() { "" } else { "_" };
    Some((pattern, part, format!("{before}{between}{after}")))
}

/// The words of a name and where they start: cut at punctuation, where digits begin or end, and where the case changes, as in
/// `trainA`, `TrainSet` and `HRTrain`.
fn tokens(name: &str) -> Vec<(usize, &str)> {
    let characters: Vec<(usize, char)> = name.char_indices().collect();
    let (mut tokens, mut start) = (Vec::new(), 0);
    for (i, &(at, c)) in characters.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| characters[i].1);
        let after = characters.get(i + 1).map(|(_, c)| *c);
        let cut = before.is_some_and(|before| {
            before.is_alphanumeric() != c.is_alphanumeric()
                || before.is_numeric() != c.is_numeric()
                || before.is_lowercase() && c.is_uppercase()
                || before.is_uppercase() && c.is_uppercase() && after.is_some_and(char::is_lowercase)
        });
        if cut {
            tokens.push((start, &name[start..at]));
            start = at;
        }
    }
    tokens.push((start, &name[start..]));
    tokens.retain(|(_, word)| word.chars().all(char::is_alphanumeric) && !word.is_empty());
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str) -> Vec<&str> {
        tokens(name).into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(words("trainA"), ["train", "A"]);
        assert_eq!(words("DIV2K_train_HR"), ["DIV", "2", "K", "train", "HR"]);
        assert_eq!(words("HRTrain-v2 .x"), ["HR", "Train", "v", "2", "x"]);
        assert_eq!(words("Übung_test"), ["Übung", "test"]);
        assert_eq!(words("__"), [""; 0]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn a_name_with_one_part_has_the_pattern_of_the_rest() {
        for (a, b) in [("trainA", "testA"), ("DIV2K_train_HR", "div2k-valid-hr"), ("train_v2", "VAL v2")] {
            assert_eq!(pattern(a).unwrap().0, pattern(b).unwrap().0);
        }
        for (a, b) in [("trainA", "testB"), ("seg_train", "test_seg"), ("train_v1", "test_v2")] {
            assert_ne!(pattern(a).unwrap().0, pattern(b).unwrap().0);
        }
        for name in ["train_test", "freighttrain", "cat"] {
            assert!(pattern(name).is_none(), "{name}");
        }
        let rests = ["trainA", "DIV2K_train_HR", "seg_train", "Übung_train"].map(|name| rest(name).unwrap());
        assert_eq!(rests, ["A", "DIV2K_HR", "seg", "Übung"]);
    }

    #[test]
    fn parts_by_their_partner_need_one() {
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| name.to_string()).collect();
            parts(&names).into_iter().map(|(name, (rank, _))| (name, rank)).collect::<Vec<_>>()
        };
        assert_eq!(of(&["freight_train", "car", "freight_test2"]), []);
        assert_eq!(of(&["a_test", "a_val", "trainB"]), []);
        let both = of(&["seg_test", "seg_train", "train", "trainB"]);
        let expected = [("seg_test", BY_PARTNER), ("seg_train", BY_PARTNER), ("train", 0)];
        assert_eq!(both, expected.map(|(name, rank)| (name.to_owned(), rank)));
    }
}
