//! Sums whose order is fixed by the numbers of their parts.

/// A sum of parts 0, 1, 2, … by the complete binary tree over their numbers, one part after the other.
///
/// Floating-point sums depend on their order. Here it is that of a tree: a node adds its left half, which has the largest power of two of
/// parts that leaves some for the right, to its right half. Whoever holds a run of parts that is a whole subtree can add them alone; the
/// result has the same bits, wherever the parts were added. Held at the same time are only as many sums as the number of parts has bits.
///
/// # Examples
/// ```
/// use sfumato_kernels::TreeSum;
///
/// let mut sum = TreeSum::new(|left, right| format!("({left}+{right})"));
/// (0..5).for_each(|part| sum.push(part.to_string()));
/// assert_eq!(sum.total().unwrap(), "(((0+1)+(2+3))+4)");
/// ```
#[derive(Clone, Debug)]
pub struct TreeSum<T, F> {
    add: F,
    /// Sums of subtrees, with the logarithm of their size: it falls.
    subtrees: Vec<(u32, T)>,
}

impl<T, F: FnMut(T, T) -> T> TreeSum<T, F> {
    /// No parts yet; `add` is given the left and the right half.
    pub fn new(add: F) -> Self {
        Self { add, subtrees: Vec::new() }
    }

    /// Takes in the next part.
    pub fn push(&mut self, part: T) {
        let (mut size, mut sum) = (0, part);
        while let Some((_, left)) = self.subtrees.pop_if(|(other, _)| *other == size) {
            sum = (self.add)(left, sum);
            size += 1;
        }
        self.subtrees.push((size, sum));
    }

    /// The sum of all parts; none if there are none.
    pub fn total(mut self) -> Option<T> {
        let (_, mut sum) = self.subtrees.pop()?;
        while let Some((_, left)) = self.subtrees.pop() {
            sum = (self.add)(left, sum);
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree by its definition.
    fn tree(parts: &[f32]) -> f32 {
        match parts {
            [one] => *one,
            _ => {
                let left = parts.len().next_power_of_two() / 2;
                tree(&parts[..left]) + tree(&parts[left..])
            }
        }
    }

    proptest! {
        #[test]
        fn parts_are_added_as_the_definition_says(parts in proptest::collection::vec(-1e3_f32..1e3, 1..200)) {
            let mut sum = TreeSum::new(|a: f32, b: f32| a + b);
            parts.iter().for_each(|&part| sum.push(part));
            prop_assert_eq!(sum.total().unwrap().to_bits(), tree(&parts).to_bits());
        }

        #[test]
        fn whole_subtrees_can_be_added_elsewhere(parts in proptest::collection::vec(-1e3_f32..1e3, 1..200), level in 0_u32..6) {
            // Runs of 2^level parts, each by its own sum, and then the sums.
            let mut outer = TreeSum::new(|a: f32, b: f32| a + b);
            for run in parts.chunks(1 << level) {
                let mut inner = TreeSum::new(|a: f32, b: f32| a + b);
                run.iter().for_each(|&part| inner.push(part));
                outer.push(inner.total().unwrap());
            }
            prop_assert_eq!(outer.total().unwrap().to_bits(), tree(&parts).to_bits());
        }
    }

    #[test]
    fn no_parts_have_no_sum() {
        assert!(TreeSum::new(|a: u8, b: u8| a + b).total().is_none());
    }
}
