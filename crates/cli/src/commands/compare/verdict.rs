//! The result in a sentence.

use sfumato_evaluate::{Paired, Verdict};
use sfumato_process::bound::Mean;

use super::Extent;

/// Examples below which the interval depends on how the differences are spread.
const FEW: u64 = 30;

/// Which model is better, of totals in bits/dim, or what it would take to know.
pub(super) fn sentence(total: &Paired, extent: &Extent) -> String {
    let Mean { mean, standard_error, count } = total.difference;
    let (Some(error), Some([low, high])) = (standard_error, total.interval()) else {
        return match total.verdict() {
            Verdict::Equal => equal(count),
            _ => "cannot tell: one example says nothing about the spread; score 30 or more".to_owned(),
        };
    };
    let digits = digits(error);
    let mut text = match total.verdict() {
        Verdict::Equal => return equal(count),
        Verdict::Better(side) => format!(
            "{side} is better by {:.digits$} ± {error:.digits$} bits/dim: the 95 % interval of B - A, {low:.digits$} to \
             {high:.digits$}, does not hold 0.",
            mean.abs()
        ),
        Verdict::Unknown => format!(
            "cannot tell: B - A is {mean:.digits$} ± {error:.digits$} bits/dim, and its 95 % interval, {low:.digits$} to \
             {high:.digits$}, holds 0; {}.",
            needed(total.examples_needed(), extent)
        ),
    };
    if count < FEW {
        text += &format!(
            "\nWith fewer than {FEW} examples this takes for granted that the differences have a normal distribution."
        );
    }
    text
}

fn equal(count: u64) -> String {
    match count {
        1 => "A and B are equal: the one example has the same bound by both.".to_owned(),
        _ => format!("A and B are equal: each of the {count} examples has the same bound by both."),
    }
}

/// How many examples would do, and where they could come from.
fn needed(examples: Option<u64>, extent: &Extent) -> String {
    let Some(examples) = examples else { return "no number of examples settles a difference of 0".to_owned() };
    let about = rounded_up(examples);
    let would = format!("about {about} examples would settle a difference of this size");
    let Extent { in_split, dataset, split, .. } = extent;
    if about <= *in_split {
        format!("{would} (--limit {about})")
    } else {
        format!(
            "{would}, but the {split} split of {dataset} has {in_split}; --draws, and a smaller --stride where steps are summed, make the difference of each \
             example better known"
        )
    }
}

/// To two digits, upwards.
pub(super) fn rounded_up(n: u64) -> u64 {
    let mut unit = 1;
    while n / unit >= 100 {
        unit *= 10;
    }
    n.div_ceil(unit).saturating_mul(unit)
}

/// Decimals that show two digits of a standard error.
pub(super) fn digits(error: f64) -> usize {
    if error > 0.0 { (1.0 - error.log10().floor()).clamp(2.0, 12.0) as usize } else { 5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(differences: &[f64], in_split: u64) -> String {
        let a: Vec<f64> = (0..differences.len()).map(|i| 3.0 + i as f64 % 7.0).collect();
        let b: Vec<f64> = a.iter().zip(differences).map(|(a, d)| a + d).collect();
        let scored = differences.len() as u64;
        let extent = Extent { dataset: "toys".to_owned(), split: "test".to_owned(), in_split, planned: scored, scored };
        sentence(&Paired::new(&a, &b).unwrap(), &extent)
    }

    #[test]
    fn the_sentence_names_the_better_model_or_what_it_takes() {
        // Around -1/4: deviation 1/16 but for the correction, error 1/128.
        let clear: Vec<f64> = (0..64).map(|i| -0.25 + if i % 2 == 0 { 0.0625 } else { -0.0625 }).collect();
        let text = of(&clear, 64);
        assert_eq!(
            text,
            "B is better by 0.2500 ± 0.0079 bits/dim: the 95 % interval of B - A, -0.2657 to -0.2343, does not hold 0."
        );
        let opposite: Vec<f64> = clear.iter().map(|d| -d).collect();
        assert!(of(&opposite, 64).starts_with("A is better by 0.2500 ± 0.0079"));
        // Deviation √(64/63) around 1/16: 1.9623 standard errors are below it from 1,002 examples on (SciPy 1.17.1).
        let unclear: Vec<f64> = (0..64).map(|i| 0.0625 + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let text = of(&unclear, 100_000);
        assert!(text.starts_with("cannot tell: B - A is 0.06 ± 0.13 bits/dim"), "{text}");
        assert!(
            text.ends_with("holds 0; about 1100 examples would settle a difference of this size (--limit 1100)."),
            "{text}"
        );
        let text = of(&unclear, 64);
        assert!(text.contains("but the test split of toys has 64; --draws"), "{text}");
    }

    #[test]
    fn few_examples_and_none_of_spread_are_said() {
        assert!(of(&[-0.25, -0.5, -0.25], 3).contains("fewer than 30 examples"));
        assert!(of(&[0.25], 3).starts_with("cannot tell: one example"));
        assert!(of(&[0.0; 5], 5).starts_with("A and B are equal: each of the 5 examples"));
        assert!(of(&[0.5, -0.5], 5).contains("no number of examples"));
        let constant = of(&[-0.5; 40], 40);
        assert!(constant.starts_with("B is better by 0.50000 ± 0.00000"), "{constant}");
    }

    #[test]
    fn numbers_of_examples_are_rounded_up() {
        let numbers = [1, 99, 100, 101, 1801, 123_456, u64::MAX];
        let expected = [1, 99, 100, 110, 1900, 130_000, u64::MAX];
        assert_eq!(numbers.map(rounded_up), expected);
    }

    #[test]
    fn errors_have_two_digits() {
        assert_eq!([0.5, 0.025, 0.01, 0.00999, 1e-30, 40.0, 0.0].map(digits), [2, 3, 3, 4, 12, 2, 5]);
    }
}
