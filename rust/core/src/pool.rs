//! The threads that share the work on large inputs.

use std::process;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

use rayon::{ThreadPool, ThreadPoolBuilder};

static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Run `work` where rayon's parallel iterators use all processors that this process may use.
///
/// Rayon's own global pool is not used: a forked child (a `DataLoader` worker) inherits it without
/// its threads and would wait for them for ever. A child gets a pool of its own.
pub fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// How many threads `run` gives to its work.
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
