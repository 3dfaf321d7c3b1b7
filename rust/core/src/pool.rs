//! The threads that share the work on large inputs.

use std::process;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

use blake3::Hasher;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Do `work` on each item, on all processors that this process may use; the results keep the order.
///
/// Rayon's own global pool is not used: a forked child (a `DataLoader` worker) inherits it without
/// its threads and would wait for them for ever. A child gets a pool of its own; where there is none
/// to be had, the calling thread does the work.
pub fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
    match pool() {
        Some(pool) => pool.install(|| items.into_par_iter().map(work).collect()),
        None => items.into_iter().map(work).collect(),
    }
}

/// Feed bytes to BLAKE3, on all processors that this process may use.
pub fn update(hasher: &mut Hasher, bytes: &[u8]) {
    match pool() {
        Some(pool) => {
            pool.install(|| hasher.update_rayon(bytes));
        }
        None => {
            hasher.update(bytes);
        }
    }
}

/// How many threads there are for work.
pub fn threads() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The pool of this process, or nothing where one thread is all there is.
fn pool() -> Option<Arc<ThreadPool>> {
    // A fork while another thread held the lock leaves it locked in the child; working on one thread
    // is then better than waiting.
    let mut slot = POOL.try_lock().ok()?;
    let process = process::id();
    match slot.as_ref() {
        Some((owner, pool)) if *owner == process => return Some(pool.clone()),
        _ => {}
    }
    let threads = threads();
    if threads < 2 {
        return None;
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("ato-{index}"))
        .build()
        .ok()?;
    let pool = Arc::new(pool);
    if let Some(inherited) = slot.replace((process, pool.clone())) {
        // Its threads are in the parent; ending it would wait for them.
        std::mem::forget(inherited);
    }
    Some(pool)
}
