//! Random numbers by address: the one layout of keys and streams that all crates share.
//!
//! A generator is ChaCha with four 64-bit words as its key, in little-endian order, and a stream number beside it. It is addressed,
//! never advanced: the numbers at an address are the same whatever was drawn before, on whichever thread, in whichever batch. Words that
//! tell purposes apart keep two uses of a seed from sharing numbers.
//!
//! | what | rounds | key | stream |
//! | --- | --- | --- | --- |
//! | noise, steps, dropped labels (`sfumato-process`) | 8 | seed, purpose, draw, 0 | sample |
//! | initial parameters (`sfumato-nets`) | 8 | seed, 0, two hashes of the name | 0 |
//! | dropout (`sfumato-nets`) | 8 | seed, step, layer, `dropout` | example |
//! | bootstrap of distances (`sfumato-evaluate`) | 8 | seed, `distance`, `frechet`, set | replicate |
//! | order of a data set, mirrored pictures (`sfumato-data`) | 20 | seed, purpose, 0, 0 | epoch |
//! | points of the toys (`sfumato-data`) | 20 | seed, `toy train` or `toy  test` in two words, 0 | point |
//!
//! Eight rounds have no known weakness for simulation and cost less than half of twenty; data sets draw one number an example, and
//! keep the twenty that they began with. The values are part of the reproducibility contract: they never change.
//!
//! # Example
//! ```
//! use rand_chacha::rand_core::Rng;
//! use sfumato_random::{chacha8, word};
//!
//! let mut first = chacha8([42, word(b"example"), 0, 0], 17);
//! let mut again = chacha8([42, word(b"example"), 0, 0], 17);
//! assert_eq!(first.next_u64(), again.next_u64());
//! ```
#![forbid(unsafe_code)]

use rand_chacha::{ChaCha8Rng, ChaCha20Rng, rand_core::SeedableRng};

/// The generator with 8 rounds at an address.
pub fn chacha8(key: [u64; 4], stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(bytes(key));
    rng.set_stream(stream);
    rng
}

/// The generator with 20 rounds at an address.
pub fn chacha20(key: [u64; 4], stream: u64) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::from_seed(bytes(key));
    rng.set_stream(stream);
    rng
}

/// Up to eight letters as a word of a key, the first one lowest; those after the eighth are left out.
pub fn word(text: &[u8]) -> u64 {
    text.iter().take(8).rev().fold(0, |word, &letter| word << 8 | u64::from(letter))
}

fn bytes(key: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(8).zip(key) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

    use super::*;

    #[test]
    fn addresses_are_told_apart_and_words_are_little_endian() {
        assert_eq!(word(b"dropout\0"), u64::from_le_bytes(*b"dropout\0"));
        assert_eq!(word(b"order").to_le_bytes(), *b"order\0\0\0");
        assert_eq!(word(b"toy train"), word(b"toy trai"));
        let first = |key, stream| chacha8(key, stream).next_u64();
        let base = first([1, 2, 3, 4], 5);
        for (key, stream) in
            [([9, 2, 3, 4], 5), ([1, 9, 3, 4], 5), ([1, 2, 9, 4], 5), ([1, 2, 3, 9], 5), ([1, 2, 3, 4], 9)]
        {
            assert_ne!(first(key, stream), base);
        }
        assert_ne!(chacha20([1, 2, 3, 4], 5).next_u64(), base);
    }

    /// RFC 8439, A.1, test vector 1: the key stream of ChaCha20 with a key, a nonce and a counter of zeros.
    #[test]
    fn twenty_rounds_are_those_of_the_standard() {
        let first = chacha20([0; 4], 0).next_u64().to_le_bytes();
        assert_eq!(first, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    }
}
