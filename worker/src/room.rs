//! Bounds the memory that large contexts take in one worker, however many runs are decided at once.
//!
//! Invariant: who has room waits for no more of it, so that whoever waits gets it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::context::MAX_CONTEXT_BYTES;

/// The most bytes of a context that needs no room: as many of those as runs are decided at once are small together.
pub(crate) const SMALL_BYTES: usize = 256 * 1024;
/// The bytes of JSON that all larger contexts may have together: eight of the largest. In memory, while they are
/// read, hashed and written, they take about four times as much, which is what a worker can be given.
pub(crate) const CAPACITY_BYTES: usize = 8 * MAX_CONTEXT_BYTES;
/// What room is counted in.
const UNIT: usize = 1024;

/// Room for large contexts.
pub(crate) struct Room(Arc<Semaphore>);

/// A part of it, until it is dropped. By default none.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<OwnedSemaphorePermit>);

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CAPACITY_BYTES / UNIT)))
    }

    /// Waits for room for this many bytes, first come, first served.
    pub(crate) async fn take(&self, bytes: usize) -> Place {
        // It is never closed, so there is always a permit.
        Place(self.0.clone().acquire_many_owned(units(bytes.min(CAPACITY_BYTES))).await.ok())
    }
}

impl Place {
    /// Gives back all but what these bytes need.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let Some(permit) = &mut self.0 else { return };
        let surplus = permit.num_permits().saturating_sub(units(bytes) as usize);
        drop(permit.split(surplus));
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_given_back_is_had_by_who_waits() {
        let room = Room::new();
        let take = |bytes| room.take(bytes).now_or_never();
        let mut places: Vec<_> = (0..8).map(|_| take(MAX_CONTEXT_BYTES).unwrap()).collect();
        assert!(take(1).is_none(), "all is taken");
        places[0].shrink(MAX_CONTEXT_BYTES - 2 * UNIT);
        let _two = take(2 * UNIT).unwrap();
        assert!(take(1).is_none());
        places.clear();
        assert!(take(CAPACITY_BYTES).is_none(), "two units are taken still");
        assert!(take(CAPACITY_BYTES - 2 * UNIT).is_some());
    }

    #[test]
    fn more_than_there_is_is_had_alone() {
        let room = Room::new();
        let _all = room.take(usize::MAX).now_or_never().unwrap();
        assert!(room.take(1).now_or_never().is_none());
    }
}
