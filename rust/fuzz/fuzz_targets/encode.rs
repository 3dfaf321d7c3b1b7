//! The canonical encoding can be read back: so no two values share one, and none begins another.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use ato_core::encode::{self, Digester, HEADER, Sink, Tag};
use ato_core::scheme::Scheme;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Clone, Debug, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(u64),
    Complex(u64, u64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(BTreeMap<String, Value>),
    Object(String, Box<Value>),
    Ancestor(u32),
}

/// The number that a float's bits stand for in the encoding: every NaN is one.
fn canonical(bits: u64) -> u64 {
    if f64::from_bits(bits).is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        bits
    }
}

fn write(sink: &mut impl Sink, value: &Value) {
    match value {
        Value::None => encode::none(sink),
        Value::Bool(value) => encode::boolean(sink, *value),
        Value::Int(value) => encode::integer(sink, *value),
        Value::Float(bits) => encode::float(sink, f64::from_bits(*bits)),
        Value::Complex(real, imag) => {
            encode::complex(sink, f64::from_bits(*real), f64::from_bits(*imag));
        }
        Value::Str(text) => encode::text(sink, text),
        Value::Bytes(bytes) => encode::bytes(sink, bytes),
        Value::List(items) => {
            encode::header(sink, Tag::List, items.len());
            items.iter().for_each(|item| write(sink, item));
        }
        Value::Tuple(items) => {
            encode::header(sink, Tag::Tuple, items.len());
            items.iter().for_each(|item| write(sink, item));
        }
        Value::Dict(entries) => {
            encode::header(sink, Tag::Dict, entries.len());
            for (key, value) in entries {
                encode::text(sink, key);
                write(sink, value);
            }
        }
        Value::Object(kind, content) => {
            encode::object(sink, kind);
            write(sink, content);
        }
        Value::Ancestor(depth) => encode::ancestor(sink, *depth as usize),
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn read(bytes: &mut &[u8]) -> Value {
    let head = take(bytes, HEADER);
    let length = usize::try_from(word(&head[1..])).unwrap();
    let is = |tag: Tag| head[0] == tag as u8;
    if is(Tag::List) {
        return Value::List((0..length).map(|_| read(bytes)).collect());
    }
    if is(Tag::Tuple) {
        return Value::Tuple((0..length).map(|_| read(bytes)).collect());
    }
    if is(Tag::Dict) {
        let entry = |_| match read(bytes) {
            Value::Str(key) => (key, read(bytes)),
            other => panic!("{other:?} for a key"),
        };
        return Value::Dict((0..length).map(entry).collect());
    }
    let payload = take(bytes, length);
    if is(Tag::None) {
        Value::None
    } else if is(Tag::Bool) {
        Value::Bool(payload == [1])
    } else if is(Tag::Int) {
        let negative = payload.last().is_some_and(|byte| *byte >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 16];
        wide[..length].copy_from_slice(payload);
        Value::Int(i128::from_le_bytes(wide).try_into().unwrap())
    } else if is(Tag::Float) {
        Value::Float(word(payload))
    } else if is(Tag::Complex) {
        Value::Complex(word(&payload[..8]), word(&payload[8..]))
    } else if is(Tag::Str) {
        Value::Str(text(payload))
    } else if is(Tag::Bytes) {
        Value::Bytes(payload.to_vec())
    } else if is(Tag::Object) {
        Value::Object(text(payload), Box::new(read(bytes)))
    } else {
        assert!(is(Tag::Ancestor));
        Value::Ancestor(word(payload).try_into().unwrap())
    }
}

fn with_one_nan(value: &Value) -> Value {
    let all = |items: &[Value]| items.iter().map(with_one_nan).collect();
    match value {
        Value::Float(bits) => Value::Float(canonical(*bits)),
        Value::Complex(real, imag) => Value::Complex(canonical(*real), canonical(*imag)),
        Value::List(items) => Value::List(all(items)),
        Value::Tuple(items) => Value::Tuple(all(items)),
        Value::Dict(entries) => Value::Dict(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), with_one_nan(value)))
                .collect(),
        ),
        Value::Object(kind, content) => {
            Value::Object(kind.clone(), Box::new(with_one_nan(content)))
        }
        other => other.clone(),
    }
}

fuzz_target!(|value: Value| {
    let mut bytes = Vec::new();
    write(&mut bytes, &value);
    let mut rest = bytes.as_slice();
    assert_eq!(read(&mut rest), with_one_nan(&value));
    assert!(rest.is_empty());
    let mut digester = Digester::new(Scheme::Value);
    write(&mut digester, &value);
    let whole = Scheme::Value.hasher().update(&bytes).finalize();
    assert_eq!(digester.finish(), *whole.as_bytes());
});
