//! Logging goes on, and loses nothing but what it says, whichever allocation fails.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Held;
use std::io;
use std::time::Duration;

use ato_core::journal::writer::{Kept, Medium, Settings, Writer};
use ato_core::journal::{Cell, FIRST_ROW, Moment, Next, POINTS, Records};

thread_local! {
    /// How many allocations of this thread still succeed; `None` is all.
    static LEFT: Held<Option<u32>> = const { Held::new(None) };
}

struct Failing;

fn fails() -> bool {
    LEFT.with(|left| match left.get() {
        None => false,
        Some(0) => true,
        Some(count) => {
            left.set(Some(count - 1));
            false
        }
    })
}

// SAFETY: everything is the system's allocator's, but for the null pointers that any may give.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// A disk that is full at times, so that records have to wait in memory.
struct Disk {
    bytes: Vec<u8>,
    operations: u32,
}

impl Medium for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.operations += 1;
        if self.operations % 4 == 3 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(self.bytes.len() + bytes.len() <= self.bytes.capacity());
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}

const MOMENT: Moment = Moment {
    timestamp: 0.0,
    step: 0,
    ident: None,
    position: None,
};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn logged(allocations: u32) -> (Writer<Disk>, u64) {
    let disk = Disk {
        bytes: Vec::with_capacity(1 << 16),
        operations: 0,
    };
    let settings = Settings {
        room: 1 << 16,
        pause: Duration::ZERO,
    };
    let mut writer = Writer::new(disk, "{}", 0, settings).unwrap();
    let mut kept = 0;
    LEFT.set(Some(allocations));
    for name in NAMES {
        if writer.points(&MOMENT, &[(name, 1.0), ("loss", 2.0)]) != Kept::Dropped {
            kept += 2;
        }
        let long = [Cell::Text("a text that is too long for a buffer of a few bytes"); 4];
        if writer.row(FIRST_ROW, long) != Kept::Dropped {
            kept += 1;
        }
    }
    LEFT.set(None);
    writer.close();
    writer.close();
    (writer, kept)
}

#[test]
fn a_shortage_of_memory_costs_no_more_than_is_counted() {
    let mut dropped = 0;
    for allocations in 0..60 {
        let (mut writer, kept) = logged(allocations);
        assert_eq!(
            kept + writer.dropped(),
            24,
            "after {allocations} allocations"
        );
        assert_eq!(writer.waiting(), 0);
        dropped += writer.dropped();
        let length = writer.length();
        assert!(writer.take_waiting().is_empty());
        // What was kept is in the file, whole.
        let medium = writer.into_medium();
        assert_eq!(medium.bytes.len() as u64, length);
        let mut records = Records::new(&medium.bytes[8..]);
        let mut found = 0;
        loop {
            match records.step() {
                Next::Record(POINTS, _) => found += 2,
                Next::Record(FIRST_ROW, _) => found += 1,
                Next::Record(..) => {}
                Next::Nothing => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, kept);
    }
    assert!(dropped > 0, "no allocation failed");
}
