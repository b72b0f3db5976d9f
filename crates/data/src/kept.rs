//! Which examples of a data set are in memory.

/// The examples of a data set that are in memory.
#[derive(Debug)]
pub(super) struct Kept {
    /// In the order in which they were asked for.
    pub(super) ids: Vec<usize>,
    /// In the order in which they lie in memory.
    sorted: Vec<usize>,
}

impl Kept {
    pub(super) fn new(ids: Vec<usize>) -> Kept {
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        Kept { ids, sorted }
    }

    /// Their numbers, the lowest first.
    pub(super) fn sorted(&self) -> &[usize] {
        &self.sorted
    }

    /// Where example `i` lies.
    pub(super) fn place(&self, i: usize) -> usize {
        self.sorted.binary_search(&i).unwrap_or_else(|_| panic!("example {i} is not in the part that was loaded"))
    }
}
