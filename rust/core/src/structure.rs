//! The structure of a config: keys and types, not values.
//!
//! Written in the encoding of values (see [`crate::encode`]) with these differences: a scalar is
//! its tag with length 0 and no payload; the items of a list or tuple are their structures, with
//! runs of equal neighbours written once; those of a set are its distinct structures, ascending; a
//! mapping's keys are encoded in full, its values by their structures; an object is its kind and
//! the structure of its content.

use std::ops::Range;

use crate::encode::{self, HEADER, Tag};

/// A structure that is being written.
#[derive(Default)]
pub struct Structure {
    bytes: Vec<u8>,
}

/// A list, tuple or set whose items are being written.
pub struct Items {
    start: usize,
    previous: Range<usize>,
    count: usize,
}

impl Structure {
    /// Write the type of a scalar.
    pub fn scalar(&mut self, tag: Tag) {
        encode::header(&mut self.bytes, tag, 0);
    }

    /// Write the kind of an object; the structure of its content must follow.
    pub fn object(&mut self, kind: &str) {
        encode::object(&mut self.bytes, kind);
    }

    /// Write that an ancestor is met again.
    pub fn ancestor(&mut self, depth: usize) {
        encode::ancestor(&mut self.bytes, depth);
    }

    /// Begin a mapping of `length` entries; each is a key and the structure of its value.
    pub fn mapping(&mut self, length: usize) {
        encode::header(&mut self.bytes, Tag::Dict, length);
    }

    /// Write the key of an entry, as [`crate::encode`] encodes it.
    pub fn key(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    /// Begin a list, tuple or set.
    pub fn begin(&mut self, tag: Tag) -> Items {
        encode::header(&mut self.bytes, tag, 0);
        let start = self.bytes.len();
        Items {
            start,
            previous: start..start,
            count: 0,
        }
    }

    /// After each item of a list or tuple: drop it where it repeats its neighbour.
    pub fn end_item(&mut self, items: &mut Items) {
        let item = items.previous.end..self.bytes.len();
        if items.count > 0 && self.bytes[items.previous.clone()] == self.bytes[item.clone()] {
            self.bytes.truncate(item.start);
        } else {
            items.previous = item;
            items.count += 1;
        }
    }

    /// After the last item of a list or tuple.
    pub fn end(&mut self, items: &Items) {
        let length = (items.count as u64).to_le_bytes();
        self.bytes[items.start - HEADER + 1..items.start].copy_from_slice(&length);
    }

    /// Write a set from the structures of its items, which are written one after the other at the
    /// end and stop at `ends`.
    pub fn end_set(&mut self, items: &mut Items, ends: &[usize]) {
        let written = self.bytes.split_off(items.start);
        let mut start = 0;
        let mut structures: Vec<&[u8]> = Vec::with_capacity(ends.len());
        for end in ends {
            let end = end - items.start;
            structures.push(&written[start..end]);
            start = end;
        }
        structures.sort_unstable();
        structures.dedup();
        items.count = structures.len();
        for structure in structures {
            self.bytes.extend_from_slice(structure);
        }
        self.end(items);
    }

    /// How many bytes have been written.
    #[must_use]
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the structure.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tags: &[Tag]) -> Vec<u8> {
        let mut structure = Structure::default();
        let mut items = structure.begin(Tag::List);
        for tag in tags {
            structure.scalar(*tag);
            structure.end_item(&mut items);
        }
        structure.end(&items);
        structure.into_bytes()
    }

    #[test]
    fn runs_of_equal_items_count_once() {
        assert_eq!(list(&[Tag::Int, Tag::Int, Tag::Int]), list(&[Tag::Int]));
        assert_ne!(list(&[Tag::Int]), list(&[Tag::Int, Tag::Str]));
        assert_ne!(
            list(&[Tag::Int, Tag::Str]),
            list(&[Tag::Int, Tag::Str, Tag::Int])
        );
        assert_ne!(list(&[]), list(&[Tag::None]));
    }

    #[test]
    fn a_set_counts_its_distinct_structures_in_one_order() {
        let set = |tags: &[Tag]| {
            let mut structure = Structure::default();
            let mut items = structure.begin(Tag::Set);
            let mut ends = Vec::new();
            for tag in tags {
                structure.scalar(*tag);
                ends.push(structure.position());
            }
            structure.end_set(&mut items, &ends);
            structure.into_bytes()
        };
        assert_eq!(
            set(&[Tag::Int, Tag::Str, Tag::Int]),
            set(&[Tag::Str, Tag::Int])
        );
        assert_ne!(set(&[]), set(&[Tag::Int]));
    }
}
