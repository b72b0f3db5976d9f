//! Whose turn it is: clients take turns, and each client's own work is done in the order in which it came.
//!
//! A client with a hundred jobs delays another one by a single job, not by a hundred.

use std::collections::VecDeque;

/// Work that waits, of type `T`, by client.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// Clients with work, the next one first. No line is empty.
    lines: VecDeque<Line<T>>,
}

/// One client's work in the order of its arrival.
#[derive(Debug)]
struct Line<T> {
    client: String,
    work: VecDeque<T>,
}

impl<T> Turns<T> {
    pub(super) fn new() -> Self {
        Self { lines: VecDeque::new() }
    }

    /// Pieces of work that wait.
    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(|line| line.work.len()).sum()
    }

    /// Those of one client.
    pub(super) fn len_of(&self, client: &str) -> usize {
        self.lines.iter().find(|line| line.client == client).map_or(0, |line| line.work.len())
    }

    /// A new piece of work, behind the client's others.
    pub(super) fn push(&mut self, client: &str, work: T) {
        match self.lines.iter_mut().find(|line| line.client == client) {
            Some(line) => line.work.push_back(work),
            None => self.lines.push_back(Line { client: client.to_owned(), work: VecDeque::from([work]) }),
        }
    }

    /// The next piece of work; its client then waits until all others have had a turn.
    pub(super) fn pop(&mut self) -> Option<T> {
        let mut line = self.lines.pop_front()?;
        let work = line.work.pop_front();
        if !line.work.is_empty() {
            self.lines.push_back(line);
        }
        work
    }

    /// Takes out the first piece of work for which `is_it` holds.
    pub(super) fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        for at in 0..self.lines.len() {
            let work = &mut self.lines[at].work;
            if let Some(found) = work.iter().position(&is_it) {
                let removed = work.remove(found);
                if work.is_empty() {
                    self.lines.remove(at);
                }
                return removed;
            }
        }
        None
    }

    /// Every piece of work with the number of those that come before it.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (usize, &T)> {
        self.lines.iter().enumerate().flat_map(move |(own, line)| {
            line.work.iter().enumerate().map(move |(round, work)| {
                // Whoever stands in front of the client has had a turn more by then.
                let before = |(other, line): (usize, &Line<T>)| line.work.len().min(round + usize::from(other < own));
                (self.lines.iter().enumerate().map(before).sum::<usize>(), work)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_with_much_work_delays_another_by_one_piece() {
        let mut turns = Turns::new();
        for i in 0..5 {
            turns.push("a", format!("a{i}"));
        }
        turns.push("b", "b0".to_owned());
        turns.push("b", "b1".to_owned());
        turns.push("c", "c0".to_owned());
        assert_eq!((turns.len(), turns.len_of("a"), turns.len_of("d")), (8, 5, 0));
        assert_eq!(turns.remove(|work| work == "a1"), Some("a1".to_owned()));
        assert_eq!(turns.remove(|work| work == "a1"), None);
        let order: Vec<String> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, ["a0", "b0", "c0", "a2", "b1", "a3", "a4"]);
        assert_eq!(turns.len(), 0);
    }

    proptest! {
        #[test]
        fn what_comes_before_is_what_is_taken_before(
            clients in prop::collection::vec(0..6_u8, 0..40),
            taken in 0..10_usize,
        ) {
            let mut turns = Turns::new();
            for (i, client) in clients.iter().enumerate() {
                turns.push(&client.to_string(), i);
            }
            for _ in 0..taken {
                turns.pop();
            }
            let mut ahead: Vec<(usize, usize)> = turns.ahead().map(|(ahead, &work)| (ahead, work)).collect();
            prop_assert_eq!(ahead.len(), turns.len());
            ahead.sort_unstable();
            let order: Vec<(usize, usize)> = std::iter::from_fn(|| turns.pop()).enumerate().collect();
            prop_assert_eq!(ahead, order);
        }
    }
}
