//! The canonical encoding of code objects, format 1.
//!
//! A digest is over a tuple of the interpreter's name and one code object: bytecode is compared
//! within one version of one interpreter only. A code object is an object of kind `code` around the
//! tuple
//!
//! | item | content |
//! |---|---|
//! | flags | int: those that change how it runs |
//! | arguments | tuple of two ints: positional-only, keyword-only |
//! | parameters | tuple of str, `*` and `**` last |
//! | steps | list of tuples: the opcode, then its operand where it has one |
//! | handlers | list of tuples of ints: first step, step after the last, handler, depth and kind |
//!
//! An operand is what it refers to: the constant itself (a code object again), the name, the number
//! of the step that is jumped to. Local variables are numbered as the compiler numbers them, which
//! is by first appearance. It sorts by name those that nested functions take; they are numbered by
//! first use instead, over the outermost code object and all inside it, and written as an object of
//! kind `cell`. Steps that do nothing are left out, and so are those that store where a class
//! stands, what it is called and its docstring. Line tables, names of locals and a function's
//! docstring are referred to by no step.

use std::collections::HashMap;

use crate::Error;
use crate::encode::{self, Digester, Sink, Tag};
use crate::scheme::Scheme;

/// What an opcode does with its argument, as far as the encoding asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// The argument is a number, or nothing.
    Plain = 0,
    /// It loads a constant.
    Constant = 1,
    /// It refers to a name; the lowest bits of the argument may be flags.
    Name = 2,
    /// It stores under a name.
    StoreName = 3,
    /// It refers to a local variable, or to the cell that holds one.
    Local = 4,
    /// It is two in one, with four bits for the local variable of each.
    Locals = 5,
    /// It reads or writes what a cell holds.
    Cell = 6,
    /// It loads a cell for a nested function, which says itself what it takes.
    Closure = 7,
    /// It jumps forwards.
    Forward = 8,
    /// It jumps backwards.
    Backward = 9,
    /// It holds the upper bits of the next argument.
    Extended = 10,
    /// It does nothing, or makes room for cells.
    Nothing = 11,
    /// It is room for the interpreter's notes, and belongs to the step before.
    Cache = 12,
    /// It loads a local variable; of one that is a cell, the cell.
    Load = 13,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Plain,
        Self::Constant,
        Self::Name,
        Self::StoreName,
        Self::Local,
        Self::Locals,
        Self::Cell,
        Self::Closure,
        Self::Forward,
        Self::Backward,
        Self::Extended,
        Self::Nothing,
        Self::Cache,
        Self::Load,
    ];
}

/// The opcodes of one interpreter.
pub struct Opcodes {
    kinds: [Kind; 256],
    /// How many of the lowest bits of a name's argument are flags.
    flags: [u8; 256],
    /// Of an opcode that is two in one, which ones.
    halves: HashMap<u8, [u8; 2]>,
}

impl Opcodes {
    /// Read the tables: for each opcode the number of its `Kind` and how many flag bits it has; and
    /// three bytes for each opcode that is two in one: itself and the two.
    ///
    /// # Errors
    ///
    /// A table has not 256 entries, or an entry is none.
    pub fn new(kinds: &[u8], flags: &[u8], halves: &[u8]) -> Result<Self, Error> {
        let flags: [u8; 256] = flags
            .try_into()
            .map_err(|_| Error::Bytecode("a table of opcodes has 256 entries"))?;
        if kinds.len() != 256 || flags.iter().any(|bits| *bits > 8) {
            return Err(Error::Bytecode("a table of opcodes has 256 entries"));
        }
        let halves = halves
            .chunks_exact(3)
            .map(|entry| (entry[0], [entry[1], entry[2]]))
            .collect();
        let mut known = [Kind::Plain; 256];
        for (kind, number) in known.iter_mut().zip(kinds) {
            *kind = *Kind::ALL
                .get(usize::from(*number))
                .ok_or(Error::Bytecode("there is no such kind of opcode"))?;
        }
        Ok(Self {
            kinds: known,
            flags,
            halves,
        })
    }
}

/// A constant that code loads.
pub enum Constant {
    /// A value, encoded.
    Value(Vec<u8>),
    /// A nested code object.
    Code(Box<Code>),
}

/// A code object, as the interpreter has it.
pub struct Code {
    /// Its flags.
    pub flags: u32,
    /// How many parameters are positional-only.
    pub positional_only: usize,
    /// How many parameters are keyword-only.
    pub keyword_only: usize,
    /// How many parameters there are, with `*` and `**`.
    pub parameters: usize,
    /// The names of parameters and local variables, of cells that are none of them, of free ones.
    pub slots: Vec<String>,
    /// Which slots are cells.
    pub cells: Vec<bool>,
    /// How many slots, the last ones, are cells of the code around it.
    pub free: usize,
    /// The names that it refers to.
    pub names: Vec<String>,
    /// The constants that it loads.
    pub constants: Vec<Constant>,
    /// The instructions, two bytes each.
    pub instructions: Vec<u8>,
    /// The table of exception handlers.
    pub exceptions: Vec<u8>,
}

// CO_OPTIMIZED, CO_NEWLOCALS, CO_VARARGS, CO_VARKEYWORDS, CO_GENERATOR, CO_COROUTINE,
// CO_ITERABLE_COROUTINE and CO_ASYNC_GENERATOR. The others say where a function stands, whether it
// has a docstring, and which `__future__` the file imports.
const COUNTING_FLAGS: u32 = 0x3af;

// What the compiler writes at the beginning and end of a class body.
const ABOUT_CLASSES: [&str; 4] = [
    "__doc__",
    "__qualname__",
    "__firstlineno__",
    "__static_attributes__",
];

/// Digest a code object of an interpreter.
///
/// # Errors
///
/// The instructions refer to what is not there, or the table of handlers is cut off.
pub fn digest(code: &Code, interpreter: &str, opcodes: &Opcodes) -> Result<[u8; 32], Error> {
    let mut digester = Digester::new(Scheme::Bytecode);
    encode::header(&mut digester, Tag::Tuple, 2);
    encode::text(&mut digester, interpreter);
    let mut cells = Cells::default();
    let mut encoder = Encoder {
        opcodes,
        known: &mut cells,
    };
    encoder.code(&mut digester, code, &HashMap::new())?;
    Ok(digester.finish())
}

/// The numbers of cells, by first use.
#[derive(Default)]
struct Cells {
    numbers: Vec<Option<i64>>,
    used: i64,
}

impl Cells {
    fn add(&mut self) -> usize {
        self.numbers.push(None);
        self.numbers.len() - 1
    }

    fn number(&mut self, cell: usize) -> i64 {
        let number = self.numbers[cell].unwrap_or(self.used);
        if self.numbers[cell].is_none() {
            self.numbers[cell] = Some(number);
            self.used += 1;
        }
        number
    }
}

/// One instruction, with the unit at which it stands, the one after it and its caches, and the
/// number of the step that it is written as.
struct Instruction {
    opcode: u8,
    kind: Kind,
    argument: usize,
    at: usize,
    next: usize,
    number: usize,
}

struct Encoder<'a> {
    opcodes: &'a Opcodes,
    known: &'a mut Cells,
}

impl Encoder<'_> {
    fn code<S: Sink>(
        &mut self,
        sink: &mut S,
        code: &Code,
        outside: &HashMap<&str, usize>,
    ) -> Result<(), Error> {
        let cells = self.cells(code, outside);
        let steps = kept(self.read(&code.instructions), code);
        let handlers = handlers(&code.exceptions)?;
        encode::object(sink, "code");
        encode::header(sink, Tag::Tuple, 5);
        encode::integer(sink, i64::from(code.flags & COUNTING_FLAGS));
        encode::header(sink, Tag::Tuple, 2);
        encode::integer(sink, number(code.positional_only));
        encode::integer(sink, number(code.keyword_only));
        let parameters = code
            .slots
            .get(..code.parameters)
            .ok_or(Error::Bytecode("a parameter has no name"))?;
        encode::header(sink, Tag::Tuple, parameters.len());
        for name in parameters {
            encode::text(sink, name);
        }
        encode::header(
            sink,
            Tag::List,
            steps.iter().map(|step| parts(step.kind)).sum(),
        );
        for step in &steps {
            self.step(sink, code, &cells, step, &steps)?;
        }
        write_handlers(sink, &handlers, &steps);
        Ok(())
    }

    /// The cells of a code object by slot; those that are its own are new.
    fn cells(&mut self, code: &Code, outside: &HashMap<&str, usize>) -> Vec<Option<usize>> {
        let own = code.slots.len().saturating_sub(code.free);
        let slots = code.slots.iter().zip(&code.cells).enumerate();
        slots
            .map(|(slot, (name, cell))| {
                // A function that is digested by itself has no code around it.
                let around = outside.get(name.as_str()).filter(|_| slot >= own);
                cell.then(|| around.copied().unwrap_or_else(|| self.known.add()))
            })
            .collect()
    }

    fn read(&self, instructions: &[u8]) -> Vec<Instruction> {
        let units: Vec<(u8, u8)> = instructions
            .chunks_exact(2)
            .map(|unit| (unit[0], unit[1]))
            .collect();
        let mut found = Vec::with_capacity(units.len());
        let (mut at, mut start, mut upper) = (0, 0, 0_usize);
        while let Some((opcode, argument)) = units.get(at).copied() {
            let kind = self.opcodes.kinds[usize::from(opcode)];
            let argument = upper << 8 | usize::from(argument);
            at += 1;
            if kind == Kind::Extended {
                upper = argument;
                continue;
            }
            let is_cache = |unit: &(u8, u8)| self.opcodes.kinds[usize::from(unit.0)] == Kind::Cache;
            while units.get(at).is_some_and(is_cache) {
                at += 1;
            }
            found.push(Instruction {
                opcode,
                kind,
                argument,
                at: start,
                next: at,
                number: 0,
            });
            (start, upper) = (at, 0);
        }
        found
    }

    fn step<S: Sink>(
        &mut self,
        sink: &mut S,
        code: &Code,
        cells: &[Option<usize>],
        step: &Instruction,
        steps: &[Instruction],
    ) -> Result<(), Error> {
        if step.kind == Kind::Locals {
            // The compiler joins only what stands on one line.
            let halves = self
                .opcodes
                .halves
                .get(&step.opcode)
                .ok_or(Error::Bytecode("the halves of an opcode are missing"))?;
            for (opcode, slot) in halves.iter().zip([step.argument >> 4, step.argument & 15]) {
                encode::header(sink, Tag::Tuple, 2);
                encode::integer(sink, i64::from(*opcode));
                let load = self.opcodes.kinds[usize::from(*opcode)] == Kind::Load;
                self.slot(sink, cells, slot, load);
            }
            return Ok(());
        }
        encode::header(sink, Tag::Tuple, 2);
        encode::integer(sink, i64::from(step.opcode));
        match step.kind {
            Kind::Constant => match code.constants.get(step.argument) {
                Some(Constant::Value(encoded)) => sink.put(encoded),
                Some(Constant::Code(nested)) => {
                    let inside = code
                        .slots
                        .iter()
                        .zip(cells)
                        .filter_map(|(name, cell)| Some((name.as_str(), (*cell)?)))
                        .collect();
                    self.code(sink, nested, &inside)?;
                }
                None => return Err(Error::Bytecode("a constant is missing")),
            },
            Kind::Name | Kind::StoreName => {
                let bits = self.opcodes.flags[usize::from(step.opcode)];
                let name = code
                    .names
                    .get(step.argument >> bits)
                    .ok_or(Error::Bytecode("a name is missing"))?;
                encode::header(sink, Tag::Tuple, 2);
                encode::integer(sink, number(step.argument & ((1 << bits) - 1)));
                encode::text(sink, name);
            }
            Kind::Local | Kind::Cell => self.slot(sink, cells, step.argument, false),
            Kind::Load => self.slot(sink, cells, step.argument, true),
            Kind::Closure => encode::none(sink),
            Kind::Forward => encode::integer(sink, position(steps, step.next + step.argument)),
            Kind::Backward => {
                let to = step
                    .next
                    .checked_sub(step.argument)
                    .ok_or(Error::Bytecode("a jump leads out of the code"))?;
                encode::integer(sink, position(steps, to));
            }
            _ => encode::integer(sink, number(step.argument)),
        }
        Ok(())
    }

    fn slot<S: Sink>(&mut self, sink: &mut S, cells: &[Option<usize>], slot: usize, load: bool) {
        match cells.get(slot).copied().flatten() {
            Some(_) if load => encode::none(sink),
            Some(cell) => {
                encode::object(sink, "cell");
                encode::integer(sink, self.known.number(cell));
            }
            None => encode::integer(sink, number(slot)),
        }
    }
}

/// How many steps an instruction is written as.
const fn parts(kind: Kind) -> usize {
    match kind {
        Kind::Locals => 2,
        _ => 1,
    }
}

/// The instructions that do something.
fn kept(read: Vec<Instruction>, code: &Code) -> Vec<Instruction> {
    let mut steps: Vec<Instruction> = Vec::with_capacity(read.len());
    for step in read {
        let stored = code.names.get(step.argument).map_or("", String::as_str);
        if step.kind == Kind::StoreName && ABOUT_CLASSES.contains(&stored) {
            // What is stored is loaded just before: a constant.
            if steps.pop_if(|last| last.kind == Kind::Constant).is_some() {
                continue;
            }
        }
        if step.kind != Kind::Nothing {
            steps.push(step);
        }
    }
    let mut number = 0;
    for step in &mut steps {
        step.number = number;
        number += parts(step.kind);
    }
    steps
}

/// The number of the first step at or after a unit.
fn position(steps: &[Instruction], unit: usize) -> i64 {
    let before = steps.partition_point(|step| step.at < unit);
    let end = || {
        steps
            .last()
            .map_or(0, |step| step.number + parts(step.kind))
    };
    number(steps.get(before).map_or_else(end, |step| step.number))
}

fn number(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A range of units, the unit of its handler, and the handler's depth and kind.
type Handler = [usize; 4];

/// Read the table of handlers: numbers of six bits a byte, the highest first.
fn handlers(table: &[u8]) -> Result<Vec<Handler>, Error> {
    let mut numbers = Vec::with_capacity(table.len());
    let mut bytes = table.iter();
    while let Some(byte) = bytes.next() {
        let mut value = usize::from(byte & 63);
        let mut last = *byte;
        while last & 64 != 0 {
            last = *bytes
                .next()
                .ok_or(Error::Bytecode("the table of handlers is cut off"))?;
            value = value << 6 | usize::from(last & 63);
        }
        numbers.push(value);
    }
    let entries = numbers.chunks_exact(4);
    if !entries.remainder().is_empty() {
        return Err(Error::Bytecode("the table of handlers is cut off"));
    }
    Ok(entries
        .map(|entry| [entry[0], entry[0] + entry[1], entry[2], entry[3]])
        .collect())
}

fn write_handlers<S: Sink>(sink: &mut S, handlers: &[Handler], steps: &[Instruction]) {
    // A range that holds nothing but steps that do nothing is none; two that meet are one.
    let mut found: Vec<[i64; 4]> = Vec::with_capacity(handlers.len());
    for [start, end, target, kind] in handlers {
        let [start, end, target] = [start, end, target].map(|unit| position(steps, *unit));
        let entry = [start, end, target, number(*kind)];
        match found.last_mut() {
            _ if start == end => {}
            Some(last) if last[1] == start && last[2..] == entry[2..] => last[1] = end,
            _ => found.push(entry),
        }
    }
    encode::header(sink, Tag::List, found.len());
    for entry in found {
        encode::header(sink, Tag::Tuple, entry.len());
        for value in entry {
            encode::integer(sink, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: u8 = 1;
    const CONSTANT: u8 = 2;
    const BACK: u8 = 3;
    const NOTHING: u8 = 4;
    const CELL: u8 = 5;
    const EXTENDED: u8 = 6;
    const PAIR: u8 = 7;
    const STORE: u8 = 8;

    fn opcodes() -> Opcodes {
        let mut kinds = [Kind::Plain as u8; 256];
        for (opcode, kind) in [
            (0, Kind::Cache),
            (LOAD, Kind::Load),
            (CONSTANT, Kind::Constant),
            (BACK, Kind::Backward),
            (NOTHING, Kind::Nothing),
            (CELL, Kind::Cell),
            (EXTENDED, Kind::Extended),
            (PAIR, Kind::Locals),
            (STORE, Kind::StoreName),
        ] {
            kinds[usize::from(opcode)] = kind as u8;
        }
        Opcodes::new(&kinds, &[0; 256], &[PAIR, LOAD, LOAD]).unwrap()
    }

    fn code(instructions: &[u8]) -> Code {
        let constant = |value| {
            let mut bytes = Vec::new();
            encode::integer(&mut bytes, value);
            Constant::Value(bytes)
        };
        Code {
            flags: 3,
            positional_only: 0,
            keyword_only: 0,
            parameters: 1,
            slots: ["x", "a", "b"].map(String::from).to_vec(),
            cells: vec![false, true, true],
            free: 0,
            names: ["__doc__", "other"].map(String::from).to_vec(),
            constants: (0..300).map(constant).collect(),
            instructions: instructions.to_vec(),
            exceptions: Vec::new(),
        }
    }

    fn digest_of(code: &Code) -> [u8; 32] {
        digest(code, "test", &opcodes()).unwrap()
    }

    #[test]
    fn what_does_nothing_is_left_out_and_jumps_lead_over_it() {
        let plain = code(&[LOAD, 0, CONSTANT, 1, BACK, 2]);
        let padded = code(&[LOAD, 0, NOTHING, 0, CONSTANT, 1, 0, 0, NOTHING, 0, BACK, 5]);
        assert_eq!(digest_of(&plain), digest_of(&padded));
        let other = code(&[LOAD, 0, CONSTANT, 1, BACK, 3]);
        assert_ne!(digest_of(&plain), digest_of(&other));
    }

    #[test]
    fn constants_count_by_value_and_wide_arguments_are_read() {
        let wide = code(&[EXTENDED, 1, CONSTANT, 2]);
        let mut moved = code(&[CONSTANT, 0]);
        moved.constants = code(&[]).constants.split_off(258);
        assert_eq!(digest_of(&wide), digest_of(&moved));
        assert_ne!(digest_of(&wide), digest_of(&code(&[CONSTANT, 2])));
    }

    #[test]
    fn cells_are_numbered_by_first_use() {
        let one = code(&[CELL, 1, CELL, 2, CELL, 1]);
        let swapped = code(&[CELL, 2, CELL, 1, CELL, 2]);
        assert_eq!(digest_of(&one), digest_of(&swapped));
        assert_ne!(
            digest_of(&one),
            digest_of(&code(&[CELL, 1, CELL, 2, CELL, 2]))
        );
    }

    #[test]
    fn what_a_class_says_of_itself_is_left_out() {
        let documented = code(&[CONSTANT, 7, STORE, 0, LOAD, 0]);
        assert_eq!(digest_of(&documented), digest_of(&code(&[LOAD, 0])));
        let stored = code(&[CONSTANT, 7, STORE, 1, LOAD, 0]);
        assert_ne!(digest_of(&documented), digest_of(&stored));
    }

    #[test]
    fn two_in_one_are_two() {
        let joined = code(&[PAIR, 1 << 4, NOTHING, 0, BACK, 3]);
        let apart = code(&[LOAD, 1, LOAD, 0, BACK, 3]);
        assert_eq!(digest_of(&joined), digest_of(&apart));
        let tables = ([Kind::Locals as u8; 256], [0; 256]);
        let unknown = Opcodes::new(&tables.0, &tables.1, &[]).unwrap();
        assert!(digest(&joined, "test", &unknown).is_err());
    }

    #[test]
    fn handlers_are_read_and_joined() {
        let mut whole = code(&[LOAD, 0, LOAD, 0, LOAD, 0]);
        whole.exceptions = vec![0x80, 2, 2, 1];
        let mut split = code(&[LOAD, 0, LOAD, 0, NOTHING, 0, LOAD, 0]);
        split.exceptions = vec![0x80, 1, 3, 1, 0x81, 1, 3, 1, 0x82, 1, 3, 1];
        assert_eq!(digest_of(&whole), digest_of(&split));
        whole.exceptions = vec![0x80, 2, 2, 2];
        assert_ne!(digest_of(&whole), digest_of(&split));
        assert_eq!(handlers(&[0xc1, 2, 0, 0, 0]).unwrap(), [[66, 66, 0, 0]]);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let failing = [
            digest(&code(&[BACK, 9]), "test", &opcodes()),
            digest(
                &Code {
                    constants: Vec::new(),
                    ..code(&[CONSTANT, 1])
                },
                "test",
                &opcodes(),
            ),
            digest(&code(&[STORE, 9]), "test", &opcodes()),
            digest(
                &Code {
                    exceptions: vec![0x80, 1],
                    ..code(&[])
                },
                "test",
                &opcodes(),
            ),
            digest(
                &Code {
                    parameters: 9,
                    ..code(&[])
                },
                "test",
                &opcodes(),
            ),
        ];
        for outcome in failing {
            assert!(outcome.unwrap_err().to_string().contains("bytecode"));
        }
        assert!(Opcodes::new(&[99; 256], &[0; 256], &[]).is_err());
        assert!(Opcodes::new(&[0; 2], &[0; 256], &[]).is_err());
    }
}
