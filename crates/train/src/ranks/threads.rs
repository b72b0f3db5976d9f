//! Ranks that are threads of one process, for tests.

use std::sync::{Barrier, Mutex};

use super::{CommunicationTime, Ranks};

/// What the threads share.
#[derive(Debug)]
struct Board {
    barrier: Barrier,
    notes: Mutex<Vec<Vec<u8>>>,
}

/// One of them.
#[derive(Debug)]
struct Thread<'a> {
    rank: usize,
    size: usize,
    board: &'a Board,
}

/// Does the same on `size` ranks at once; their results in order.
pub(crate) fn together<T: Send>(size: usize, work: impl Fn(&dyn Ranks) -> T + Sync) -> Vec<T> {
    let board = Board { barrier: Barrier::new(size), notes: Mutex::new(vec![Vec::new(); size]) };
    std::thread::scope(|scope| {
        let (board, work) = (&board, &work);
        let begin = |rank| scope.spawn(move || work(&Thread { rank, size, board }));
        let running: Vec<_> = (0..size).map(begin).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn values(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

impl Ranks for Thread<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn place(&self) -> String {
        format!("rank {}", self.rank)
    }

    fn all_gather(&self, words: &[u8]) -> Vec<Vec<u8>> {
        self.board.notes.lock().unwrap()[self.rank] = words.to_vec();
        self.board.barrier.wait();
        let all = self.board.notes.lock().unwrap().clone();
        self.board.barrier.wait();
        all
    }

    fn gather(&self, words: &[u8]) -> Vec<Vec<u8>> {
        let all = self.all_gather(words);
        if self.rank == 0 { all } else { Vec::new() }
    }

    fn broadcast(&self, words: &[u8]) -> Vec<u8> {
        self.all_gather(words).swap_remove(0)
    }

    fn all_to_all(&self, own: &[f32], to: &[usize], from: &[usize]) -> Vec<f32> {
        assert_eq!((to.iter().sum::<usize>(), to.len(), from.len()), (own.len(), self.size, self.size));
        let mut note: Vec<u8> = to.iter().flat_map(|n| (*n as u64).to_le_bytes()).collect();
        note.extend(bytes(own));
        let mut received = Vec::new();
        for (note, expected) in self.all_gather(&note).iter().zip(from) {
            let (lengths, rest) = note.split_at(8 * self.size);
            let lengths: Vec<usize> =
                lengths.chunks_exact(8).map(|n| u64::from_le_bytes(n.try_into().unwrap()) as usize).collect();
            assert_eq!(lengths[self.rank], *expected);
            let start: usize = lengths[..self.rank].iter().sum();
            received.extend(&values(rest)[start..start + expected]);
        }
        received
    }

    fn all_gather_values(&self, own: &[f32], lengths: &[usize]) -> Vec<f32> {
        let all = self.all_gather(&bytes(own));
        assert!(all.iter().zip(lengths).all(|(part, length)| part.len() == 4 * length));
        all.iter().flat_map(|part| values(part)).collect()
    }

    fn time(&self) -> CommunicationTime {
        CommunicationTime::default()
    }

    fn abort(&self, code: i32) -> ! {
        panic!("aborted with {code}")
    }
}
