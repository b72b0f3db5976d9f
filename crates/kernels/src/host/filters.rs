//! Transformed filters, kept while [`KeptFilters`](crate::KeptFilters) lives.
//!
//! A weight is recognised by its address and its channels: tensors of other shapes may share its memory. Every entry holds the
//! tensor it was made of, so that the memory can neither be given to another nor written to (Burn copies what is shared before it
//! writes).

use super::bridge::HostTensor;
use sfumato_cpu::{
    Conv2d, kept_tile,
    winograd::{Conv3x3, Filters, TileSize},
};
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Most bytes kept; filters that do not fit beside the others are transformed each time. Transformed filters that no cache holds are read from
/// memory at the price of computing them again: a network of 35.7M parameters gains nothing (measured), one of 1.6M
/// evaluates single images 1.4 times as fast (measured: `sfumato-bench evaluate small --batch 1`).
const LIMIT: usize = 64 << 20;

/// Everything that transformed filters depend on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Of the values, which lie in the order of their shape.
    address: usize,
    /// Output and input channels.
    channels: [usize; 2],
    tile: TileSize,
}

struct Entry {
    filters: Arc<Filters<'static>>,
    _weight: Box<dyn Any + Send>,
}

#[derive(Default)]
struct Kept {
    scopes: usize,
    bytes: usize,
    entries: HashMap<Key, Entry>,
}

impl Kept {
    /// Whether so many bytes more may be kept.
    fn has_room(&self, bytes: usize) -> bool {
        bytes <= LIMIT - self.bytes
    }
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

fn lock() -> MutexGuard<'static, Kept> {
    // Entries are only ever whole.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn enter() {
    lock().scopes += 1;
}

pub(crate) fn leave() {
    let mut kept = lock();
    kept.scopes -= 1;
    if kept.scopes == 0 {
        *kept = Kept::default();
    }
}

/// Bytes of transformed filters that are kept now.
pub(crate) fn bytes() -> usize {
    lock().bytes
}

/// The transformed filters of `weight`, where they are kept at all.
///
/// `values` are those of `weight`, where they lie.
pub(super) fn kept<T: HostTensor + Clone + Send + 'static>(
    s: &Conv2d,
    weight: &T,
    values: &[f32],
) -> Option<(Conv3x3, Arc<Filters<'static>>)> {
    let (sizes, tile) = kept_tile(s)?;
    let key = Key { address: values.as_ptr().addr(), channels: [s.k, s.c], tile };
    {
        let kept = lock();
        if kept.scopes == 0 {
            return None;
        }
        if let Some(entry) = kept.entries.get(&key) {
            return Some((sizes, entry.filters.clone()));
        }
        if !kept.has_room(Filters::bytes_for(tile, s.k, s.c)) {
            return None;
        }
    }
    // Outside of the lock: the transform runs in the thread pool.
    let filters = Arc::new(Filters::new(tile, s.k, s.c, values));
    let mut kept = lock();
    // Other threads may have kept the same filters, or others, meanwhile.
    if kept.scopes > 0 && !kept.entries.contains_key(&key) && kept.has_room(filters.bytes()) {
        kept.bytes += filters.bytes();
        kept.entries.insert(key, Entry { filters: filters.clone(), _weight: Box::new(weight.clone()) });
    }
    Some((sizes, filters))
}
