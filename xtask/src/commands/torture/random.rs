//! Random numbers that a seed decides: SplitMix64, which is enough to choose with.

/// A source of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The numbers of one round: they do not depend on the rounds before it.
    pub(super) fn new(seed: u64, round: u64) -> Self {
        let mut random = Self(seed);
        let start = random.next() ^ round.wrapping_mul(0xd134_2543_de82_ef95);
        random.0 = start;
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `first..=last`.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        // So few values against 2^64 that none is visibly more frequent.
        first + self.next() % (last - first + 1)
    }

    /// True in one of `n` cases.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }

    /// One of several, of which there must be some.
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.between(0, of.len() as u64 - 1) as usize]
    }

    /// Puts things into random order.
    pub(super) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.between(0, last as u64) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_have_numbers_of_their_own() {
        let of = |seed, round| {
            let mut random = Random::new(seed, round);
            (0..4).map(|_| random.between(0, 1000)).collect::<Vec<_>>()
        };
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2), of(1, 3));
        assert_ne!(of(1, 2), of(2, 2));
    }

    #[test]
    fn every_value_comes_and_no_other() {
        let mut random = Random::new(3, 0);
        let mut seen = [0; 5];
        (0..500).for_each(|_| seen[random.between(0, 4) as usize] += 1);
        assert!(seen.iter().all(|&times| times > 50), "{seen:?}");
        let mut order = [0, 1, 2, 3];
        random.shuffle(&mut order);
        order.sort();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}
