//! Ranks that are processes of an MPI job.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use mpi::{
    Threading,
    datatype::{Partition, PartitionMut},
    environment::{Universe, initialize_with_threading, processor_name},
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Destination, Root, Source},
};

use super::{CommunicationTime, Ranks};

/// Bytes of a message at most: MPI counts in 32 bits.
const PIECE: usize = 1 << 30;

/// A process of an MPI job; MPI ends with it.
pub struct Mpi {
    _universe: Universe,
    rank: usize,
    size: usize,
    waiting: AtomicU64,
    exchange: AtomicU64,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Mpi {
    /// Begins MPI; the group is all processes of the job. None if it has begun before, or if the library does not let another thread than
    /// the first call it.
    pub fn start() -> Option<Self> {
        let (universe, threading) = initialize_with_threading(Threading::Serialized)?;
        if threading < Threading::Serialized {
            return None;
        }
        let world = SimpleCommunicator::world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        Some(Self { _universe: universe, rank, size, waiting: AtomicU64::new(0), exchange: AtomicU64::new(0) })
    }

    fn timed<T>(&self, clock: &AtomicU64, call: impl FnOnce(SimpleCommunicator) -> T) -> T {
        let start = Instant::now();
        let result = call(SimpleCommunicator::world());
        clock.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }

    /// The number of bytes that each rank has.
    fn lengths(&self, world: &SimpleCommunicator, own: usize) -> Vec<usize> {
        let mut lengths = vec![0_u64; self.size];
        world.all_gather_into(&(own as u64), &mut lengths[..]);
        lengths.into_iter().map(|length| length as usize).collect()
    }
}

/// Lengths and starts of consecutive parts, as MPI counts.
fn parts(lengths: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let count = |n: usize| i32::try_from(n).expect("a message of less than 2^31 numbers");
    let starts = lengths.iter().scan(0, |end, length| {
        let start = *end;
        *end += length;
        Some(count(start))
    });
    (lengths.iter().map(|length| count(*length)).collect(), starts.collect())
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn place(&self) -> String {
        let host = processor_name().unwrap_or_default();
        if host.is_empty() { format!("rank {}", self.rank) } else { format!("rank {} on {host}", self.rank) }
    }

    fn all_gather(&self, words: &[u8]) -> Vec<Vec<u8>> {
        self.timed(&self.waiting, |world| {
            let lengths = self.lengths(&world, words.len());
            let mut all = vec![0_u8; lengths.iter().sum()];
            let (counts, starts) = parts(&lengths);
            world.all_gather_varcount_into(words, &mut PartitionMut::new(&mut all[..], counts, starts));
            let mut rest = &all[..];
            let mut take = |length: &usize| {
                let (own, others) = rest.split_at(*length);
                rest = others;
                own.to_vec()
            };
            lengths.iter().map(&mut take).collect()
        })
    }

    fn gather(&self, words: &[u8]) -> Vec<Vec<u8>> {
        self.timed(&self.waiting, |world| {
            let lengths = self.lengths(&world, words.len());
            if self.rank > 0 {
                words.chunks(PIECE).for_each(|piece| world.process_at_rank(0).send(piece));
                return Vec::new();
            }
            let mut all = vec![words.to_vec()];
            for (rank, length) in lengths.iter().enumerate().skip(1) {
                let mut words = vec![0_u8; *length];
                for piece in words.chunks_mut(PIECE) {
                    world.process_at_rank(rank as i32).receive_into(piece);
                }
                all.push(words);
            }
            all
        })
    }

    fn broadcast(&self, words: &[u8]) -> Vec<u8> {
        self.timed(&self.waiting, |world| {
            let first = world.process_at_rank(0);
            let mut length = words.len() as u64;
            first.broadcast_into(&mut length);
            let mut heard = if self.rank == 0 { words.to_vec() } else { vec![0; length as usize] };
            heard.chunks_mut(PIECE).for_each(|piece| first.broadcast_into(piece));
            heard
        })
    }

    fn all_to_all(&self, values: &[f32], to: &[usize], from: &[usize]) -> Vec<f32> {
        self.timed(&self.exchange, |world| {
            let mut received = vec![0.0_f32; from.iter().sum()];
            let ((counts, starts), (from_counts, from_starts)) = (parts(to), parts(from));
            let send = Partition::new(values, counts, starts);
            world.all_to_all_varcount_into(&send, &mut PartitionMut::new(&mut received[..], from_counts, from_starts));
            received
        })
    }

    fn all_gather_values(&self, own: &[f32], lengths: &[usize]) -> Vec<f32> {
        self.timed(&self.exchange, |world| {
            let mut all = vec![0.0_f32; lengths.iter().sum()];
            let (counts, starts) = parts(lengths);
            world.all_gather_varcount_into(own, &mut PartitionMut::new(&mut all[..], counts, starts));
            all
        })
    }

    fn time(&self) -> CommunicationTime {
        let read = |clock: &AtomicU64| Duration::from_nanos(clock.load(Ordering::Relaxed));
        CommunicationTime { waiting: read(&self.waiting), exchange: read(&self.exchange) }
    }

    fn abort(&self, code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }
}
