//! Everything that is asked about an array, in one walk where its elements lie in order.

use crate::leaf::{self, LEAF};
use crate::measure::{Measure, SPAN, Span, Sums};
use crate::pool;
use crate::rows::{self, Rows, Summed};
use crate::sketch::Sketch;
use crate::summary::Summary;
use crate::tensor::{self, Algorithm, PARALLEL, TensorDigest};
use crate::walk::Elements;

/// Bytes of a span.
const SPANNED: usize = SPAN * LEAF;

/// What is asked about an array.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The name of the element type.
    pub dtype: &'a str,
    /// The sizes of the axes.
    pub shape: &'a [usize],
    /// How the bytes are digested.
    pub algorithm: Algorithm,
    /// Whether to digest the rows without their order.
    pub order_free: bool,
    /// Whether to summarise the numbers.
    pub summary: bool,
    /// Whether to sketch the numbers.
    pub sketch: bool,
}

/// What was found.
pub struct Found {
    /// The digest, with its leaves.
    pub digest: TensorDigest,
    /// The order-free digest.
    pub order_free: Option<[u8; 32]>,
    /// The summary, where the elements are real numbers.
    pub summary: Option<Summary>,
    /// The sketch, where the elements are numbers.
    pub sketch: Option<Sketch>,
}

/// Answer a request.
///
/// The answer does not depend on the number of threads, nor on how the elements lie in memory.
#[must_use]
pub fn examine(elements: &Elements, request: &Request) -> Found {
    let Request { dtype, shape, .. } = *request;
    let size = elements.size();
    let measure = Measure::of(dtype, request.summary, request.sketch);
    let rows = request.order_free.then(|| Rows::of(shape, size));
    let (digest, sums, sum) = match elements.contiguous() {
        Some(bytes) if measure.is_some() || rows.is_some() => {
            let mut leaves = vec![0; size.div_ceil(LEAF) * leaf::DIGEST];
            let digests = request.algorithm == Algorithm::Xxh3;
            let (sums, sum) = contiguous(bytes, measure, rows, digests.then_some(&mut leaves));
            let digest = if digests {
                let root = tensor::root(dtype, shape, size, &leaves);
                TensorDigest { root, leaves }
            } else {
                tensor::digest(elements, dtype, shape, request.algorithm)
            };
            (digest, sums, sum)
        }
        _ => {
            let digest = tensor::digest(elements, dtype, shape, request.algorithm);
            let sums = measure.map_or(Sums::NONE, |measure| strided(elements, measure));
            let sum = rows.map_or(0, |rows| rows::sum(elements, rows, PARALLEL));
            (digest, sums, sum)
        }
    };
    Found {
        digest,
        order_free: rows.map(|_| rows::root(dtype, shape, size, sum)),
        summary: measure
            .filter(|_| request.summary)
            .and_then(|measure| measure.summary(&sums)),
        sketch: measure.and_then(|measure| measure.sketch(&sums)),
    }
}

/// Answer many requests, with one call of all threads.
#[must_use]
pub fn examine_many(requests: &[(Elements, Request)]) -> Vec<Found> {
    let one = |(elements, request): &(Elements, Request)| examine(elements, request);
    let sizes = requests.iter().map(|(elements, _)| elements.size());
    if sizes.fold(0, usize::saturating_add) < PARALLEL {
        return requests.iter().map(one).collect();
    }
    // The large ones among them are shared in turn.
    pool::map(requests.iter().collect(), one)
}

/// Walk contiguous bytes once, leaf by leaf: digest it, measure it, and digest the rows that end in it.
fn contiguous(
    bytes: &[u8],
    measure: Option<Measure>,
    rows: Option<Rows>,
    leaves: Option<&mut Vec<u8>>,
) -> (Sums, u128) {
    // Where no digests of leaves are wanted, there is none for each span.
    let spans = bytes.len().div_ceil(SPANNED);
    let mut none = vec![Vec::new(); if leaves.is_some() { 0 } else { spans }];
    let digests: Vec<&mut [u8]> = match leaves {
        Some(leaves) => leaves.chunks_mut(SPAN * leaf::DIGEST).collect(),
        None => none.iter_mut().map(Vec::as_mut_slice).collect(),
    };
    let span = |(index, digests): (usize, &mut [u8])| {
        let (from, until) = (index * SPANNED, bytes.len().min((index + 1) * SPANNED));
        let mut digests = digests.chunks_exact_mut(leaf::DIGEST);
        let mut span = measure.map(|measure| Span::new(measure, index * SPAN));
        let mut summed = rows.map(|rows| Summed::new(bytes, rows, from, until));
        let mut end = from;
        for leaf in bytes[from..until].chunks(LEAF) {
            end += leaf.len();
            if let Some(digest) = digests.next() {
                digest.copy_from_slice(&leaf::digest(leaf));
            }
            if let Some(span) = &mut span {
                span.add(leaf);
            }
            if let Some(summed) = &mut summed {
                summed.advance(end);
            }
        }
        let sums = span.map_or(Sums::NONE, |span| span.sums);
        (sums, summed.map_or(0, |summed| summed.sum))
    };
    let parts: Vec<(Sums, u128)> = if bytes.len() < PARALLEL {
        digests.into_iter().enumerate().map(span).collect()
    } else {
        pool::map(digests.into_iter().enumerate().collect(), span)
    };
    let nothing = rows
        .filter(|rows| rows.bytes == 0)
        .map_or(0, Rows::of_nothing);
    parts
        .iter()
        .fold((Sums::NONE, nothing), |(sums, sum), (more, rows)| {
            (sums.join(more), sum.wrapping_add(*rows))
        })
}

/// Measure an array that is not contiguous, in C order and so many bytes at a time.
fn strided(elements: &Elements, measure: Measure) -> Sums {
    /// Leaves that are gathered at a time.
    const GATHERED: usize = 16;
    let size = elements.size();
    let spans = size.div_ceil(SPANNED);
    let span = |index: usize| {
        let until = size.min((index + 1) * SPANNED);
        let mut span = Span::new(measure, index * SPAN);
        let mut block = vec![0; (GATHERED * LEAF).min(until - index * SPANNED)];
        for from in (index * SPANNED..until).step_by(GATHERED * LEAF) {
            let length = (until - from).min(GATHERED * LEAF);
            elements.read(from, &mut block[..length]);
            for leaf in block[..length].chunks(LEAF) {
                span.add(leaf);
            }
        }
        span.sums
    };
    let parts: Vec<Sums> = if size < PARALLEL {
        (0..spans).map(span).collect()
    } else {
        pool::map((0..spans).collect(), span)
    };
    parts.iter().fold(Sums::NONE, Sums::join)
}
