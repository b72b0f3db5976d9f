//! The processes that work on one run together, and what they tell each other.
//!
//! Every call but [`Ranks::rank`], [`Ranks::size`], [`Ranks::place`], [`Ranks::time`] and [`Ranks::abort`] is one of all ranks: each of them makes the same calls in the same
//! order. Nothing here adds numbers up: how an engine would order a sum is its own affair, and the order of our sums is fixed.

#[cfg(feature = "mpi")]
mod mpi;
#[cfg(test)]
pub(crate) mod threads;

use std::{fmt::Debug, time::Duration};

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;

/// A group of processes, as one of them sees it.
pub trait Ranks: Debug + Sync {
    /// The number of this process, from 0. Rank 0 writes the run and speaks.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// This process for a message, as in "rank 2 on HOST".
    fn place(&self) -> String;

    /// What each rank says, in the order of the ranks.
    fn all_gather(&self, words: &[u8]) -> Vec<Vec<u8>>;

    /// The same for rank 0 alone; the others get nothing. It may be much.
    fn gather(&self, words: &[u8]) -> Vec<Vec<u8>>;

    /// What rank 0 says; what the others say is not heard.
    fn broadcast(&self, words: &[u8]) -> Vec<u8>;

    /// Hands out numbers: `values` are `to[0]` numbers for rank 0, then `to[1]` for rank 1 and so on. The result is what the ranks have for
    /// this one, in their order: `from[r]` numbers of rank `r`.
    fn all_to_all(&self, values: &[f32], to: &[usize], from: &[usize]) -> Vec<f32>;

    /// The numbers of all ranks, one rank after the other: `lengths[r]` of rank `r`.
    fn all_gather_values(&self, own: &[f32], lengths: &[usize]) -> Vec<f32>;

    /// How long this process was in the calls above.
    fn time(&self) -> CommunicationTime;

    /// Ends all processes of the group, without another word.
    fn abort(&self, code: i32) -> !;

    /// Whether this is rank 0.
    fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there is no other.
    fn is_alone(&self) -> bool {
        self.size() == 1
    }
}

/// What a process has spent on the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommunicationTime {
    /// In agreements of a few bytes: waiting until the others are as far.
    pub waiting: Duration,
    /// In the exchange of numbers.
    pub exchange: Duration,
}

/// The only process of its group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn place(&self) -> String {
        "the only rank".to_owned()
    }

    fn all_gather(&self, words: &[u8]) -> Vec<Vec<u8>> {
        vec![words.to_vec()]
    }

    fn gather(&self, words: &[u8]) -> Vec<Vec<u8>> {
        vec![words.to_vec()]
    }

    fn broadcast(&self, words: &[u8]) -> Vec<u8> {
        words.to_vec()
    }

    fn all_to_all(&self, values: &[f32], _: &[usize], _: &[usize]) -> Vec<f32> {
        values.to_vec()
    }

    fn all_gather_values(&self, own: &[f32], _: &[usize]) -> Vec<f32> {
        own.to_vec()
    }

    fn time(&self) -> CommunicationTime {
        CommunicationTime::default()
    }

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}

/// Something that has to be the same on every rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Same {
    /// What it is, for a message: "the data".
    pub what: &'static str,
    /// What is compared: a checksum, or a text that can be shown.
    pub value: String,
}

/// Compares what each rank has with what rank 0 has; `facts` are named in the same order everywhere.
///
/// # Errors
/// On every rank the same sentence about the first rank that differs: its place, and what it has.
pub fn check_same(ranks: &dyn Ranks, facts: &[Same]) -> Result<(), String> {
    let own = facts.iter().map(|fact| fact.value.as_str()).collect::<Vec<_>>().join("\0");
    let said = ranks.all_gather(format!("{}\0{own}", ranks.place()).as_bytes());
    let said: Vec<Vec<String>> =
        said.iter().map(|words| String::from_utf8_lossy(words).split('\0').map(str::to_owned).collect()).collect();
    for other in &said[1..] {
        for ((fact, first), value) in facts.iter().zip(&said[0][1..]).zip(&other[1..]) {
            if first != value {
                let line = first.lines().zip(value.lines()).find(|(a, b)| a != b);
                let (a, b) = line.unwrap_or((first, value));
                return Err(format!("{} differs from rank 0 in {}: '{b}' there, '{a}' on rank 0", other[0], fact.what));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_its_rank_on_every_rank() {
        let of = |rank: usize| {
            let data = if rank == 2 { "other" } else { "data" };
            vec![
                Same { what: "the configuration", value: "a = 1\nb = 2".into() },
                Same { what: "the data", value: data.into() },
            ]
        };
        let said = threads::together(4, |ranks| check_same(ranks, &of(ranks.rank())));
        for said in said {
            assert_eq!(said.unwrap_err(), "rank 2 differs from rank 0 in the data: 'other' there, 'data' on rank 0");
        }
        let lines = threads::together(2, |ranks| {
            check_same(ranks, &[Same { what: "the configuration", value: format!("a = 1\nb = {}", ranks.rank()) }])
        });
        assert!(lines[0].as_ref().unwrap_err().contains("'b = 1' there, 'b = 0' on rank 0"), "{lines:?}");
        assert!(threads::together(3, |ranks| check_same(ranks, &of(0))).iter().all(Result::is_ok));
        check_same(&Alone, &of(0)).unwrap();
    }
}
