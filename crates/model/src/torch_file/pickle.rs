//! The stack machine: the instructions of pickle protocols 2 to 5 that dictionaries of tensors consist of.
//!
//! Instructions: Python's `Lib/pickletools.py`. Calls are understood, never made: see `calls`.

use std::collections::HashMap;

use super::{
    PickleFault,
    value::{Id, Value, Values},
};

/// Values of a pickle; the largest published checkpoints have a tenth of it.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// What a pickle describes.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Values,
    pub(super) root: Id,
    /// Bytes that the pickle took.
    pub(super) end: usize,
}

/// Reads the pickle that starts at `start`.
pub(super) fn read(bytes: &[u8], start: usize) -> Result<Pickle, PickleFault> {
    let machine = Machine {
        bytes,
        at: start,
        values: Values::default(),
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
        copied: 0,
    };
    machine.run()
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) values: Values,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack at which a container's items begin.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Entries of dictionaries that were made of lists.
    pub(super) copied: usize,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pickle, PickleFault> {
        loop {
            let at = self.at;
            let opcode = self.byte()?;
            if opcode == b'.' {
                let root = self.pop()?;
                return Ok(Pickle { values: self.values, root, end: self.at });
            }
            self.step(opcode, at)?;
            if self.values.len() > MAX_VALUES {
                return Err(PickleFault::TooLarge { what: "values", limit: MAX_VALUES });
            }
        }
    }

    /// Carries out one instruction: those that arrange the stack, remember and call, here.
    fn step(&mut self, opcode: u8, at: usize) -> Result<(), PickleFault> {
        match opcode {
            // PROTO, FRAME: nothing that matters here.
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.marked().map(drop),
            // BINPUT, LONG_BINPUT, MEMOIZE; BINGET, LONG_BINGET
            b'q' => self.memoize(Some(1)),
            b'r' => self.memoize(Some(4)),
            0x94 => self.memoize(None),
            b'h' => self.recall(1),
            b'j' => self.recall(4),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}")))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.values.text(id).map(str::to_owned);
                let (Some(module), Some(name)) = (text(module), text(name)) else {
                    return Err(PickleFault::Operand { at, expected: "two texts" });
                };
                self.push(Value::Global(format!("{module}.{name}")))
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)
            }
            // NEWOBJ, NEWOBJ_EX
            0x81 => {
                let (_arguments, class) = (self.pop()?, self.pop()?);
                self.object(class)
            }
            0x92 => {
                let (_keywords, _arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.object(class)
            }
            // BUILD: attributes of an object. Dictionaries of modules carry version numbers there.
            b'b' => self.pop().map(drop),
            _ => self.plain(opcode, at),
        }
    }

    /// Instructions that push a value by itself.
    fn plain(&mut self, opcode: u8, at: usize) -> Result<(), PickleFault> {
        match opcode {
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.number(1),
            b'M' => self.number(2),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            0x8a => self.long(1),
            0x8b => self.long(4),
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(value))
            }
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8, SHORT_BINSTRING, BINSTRING
            0x8c | b'U' => self.text(1),
            b'X' | b'T' => self.text(4),
            0x8d => self.text(8),
            // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8: of random states and the like.
            b'C' => self.bytes(1),
            b'B' => self.bytes(4),
            0x8e | 0x96 => self.bytes(8),
            _ => self.container(opcode, at),
        }
    }

    /// Instructions that make or fill a container.
    fn container(&mut self, opcode: u8, at: usize) -> Result<(), PickleFault> {
        match opcode {
            // EMPTY_SET, ADDITEMS, FROZENSET
            0x8f => self.push(Value::Opaque("set".into())),
            0x90 => self.marked().map(drop),
            0x91 => {
                self.marked()?;
                self.push(Value::Opaque("frozenset".into()))
            }
            b']' => self.push(Value::List(vec![])),
            b')' => self.push(Value::Tuple(vec![])),
            b'}' => self.push(Value::Dict(vec![])),
            b't' => {
                let items = self.marked()?;
                self.push(Value::Tuple(items))
            }
            b'l' => {
                let items = self.marked()?;
                self.push(Value::List(items))
            }
            0x85 => self.tuple(1),
            0x86 => self.tuple(2),
            0x87 => self.tuple(3),
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' => {
                let items = self.marked()?;
                self.append(&items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])
            }
            b'u' => {
                let items = self.marked()?;
                self.insert(&items)
            }
            opcode => Err(PickleFault::Instruction { at, opcode }),
        }
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), PickleFault> {
        let id = self.values.add(value);
        self.stack.push(id);
        Ok(())
    }

    /// The top of the stack; never below the last mark.
    fn pop(&mut self) -> Result<Id, PickleFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let operand = PickleFault::Operand { at: self.at - 1, expected: "a value on the stack" };
        if self.stack.len() > floor { self.stack.pop().ok_or(operand) } else { Err(operand) }
    }

    fn top(&self) -> Result<Id, PickleFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(|above| above.last());
        top.copied().ok_or(PickleFault::Operand { at: self.at - 1, expected: "a container on the stack" })
    }

    /// Everything above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, PickleFault> {
        let mark = self.marks.pop().ok_or(PickleFault::Operand { at: self.at - 1, expected: "a mark on the stack" })?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), PickleFault> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: &[Id]) -> Result<(), PickleFault> {
        let (at, top) = (self.at - 1, self.top()?);
        match self.values.get_mut(top) {
            Value::List(list) => {
                list.extend_from_slice(items);
                Ok(())
            }
            Value::Opaque(_) => Ok(()),
            _ => Err(PickleFault::Operand { at, expected: "a list" }),
        }
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), PickleFault> {
        let (at, top) = (self.at - 1, self.top()?);
        let (pairs, []) = items.as_chunks() else {
            return Err(PickleFault::Operand { at, expected: "keys and values in pairs" });
        };
        match self.values.get_mut(top) {
            Value::Dict(dict) => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            Value::Opaque(_) => Ok(()),
            _ => Err(PickleFault::Operand { at, expected: "a dictionary" }),
        }
    }

    /// Remembers the top of the stack, under a number of so many bytes or the next free one.
    fn memoize(&mut self, bytes: Option<usize>) -> Result<(), PickleFault> {
        let key = match bytes {
            Some(bytes) => self.unsigned(bytes)?,
            None => self.memo.len() as u64,
        };
        let top = self.top()?;
        if self.memo.insert(key, top).is_none() && self.memo.len() > MAX_VALUES {
            return Err(PickleFault::TooLarge { what: "values", limit: MAX_VALUES });
        }
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Result<(), PickleFault> {
        let at = self.at - 1;
        let key = self.unsigned(bytes)?;
        let id = self.memo.get(&key).ok_or(PickleFault::Operand { at, expected: "a value that was remembered" })?;
        self.stack.push(*id);
        Ok(())
    }

    fn number(&mut self, bytes: usize) -> Result<(), PickleFault> {
        let value = self.unsigned(bytes)?;
        // At most two bytes.
        self.push(Value::Int(value as i64))
    }

    fn long(&mut self, length_bytes: usize) -> Result<(), PickleFault> {
        let len = self.unsigned(length_bytes)? as usize;
        let bytes = self.take(len)?;
        let value = if len <= 8 {
            let fill = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
            let mut all = [fill; 8];
            all[..len].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(all))
        } else {
            Value::Long(bytes.to_vec())
        };
        self.push(value)
    }

    fn text(&mut self, length_bytes: usize) -> Result<(), PickleFault> {
        let len = self.unsigned(length_bytes)? as usize;
        let text = String::from_utf8_lossy(self.take(len)?).into_owned();
        self.push(Value::Text(text))
    }

    /// Bytes, which nothing here needs.
    fn bytes(&mut self, length_bytes: usize) -> Result<(), PickleFault> {
        let len = usize::try_from(self.unsigned(length_bytes)?).unwrap_or(usize::MAX);
        self.take(len)?;
        self.push(Value::Opaque("bytes".into()))
    }

    /// The text up to the end of the line.
    fn line(&mut self) -> Result<String, PickleFault> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleFault::Truncated { at: self.bytes.len() })?;
        let text = String::from_utf8_lossy(&rest[..len]).into_owned();
        self.at += len + 1;
        Ok(text)
    }

    fn byte(&mut self) -> Result<u8, PickleFault> {
        Ok(self.array::<1>()?[0])
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, PickleFault> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleFault> {
        let truncated = PickleFault::Truncated { at: self.bytes.len() };
        let array = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).copied().ok_or(truncated)?;
        self.at += N;
        Ok(array)
    }

    fn take(&mut self, len: usize) -> Result<&[u8], PickleFault> {
        let truncated = PickleFault::Truncated { at: self.bytes.len() };
        let rest = self.bytes.get(self.at..).ok_or(truncated.clone())?;
        let taken = rest.get(..len).ok_or(truncated)?;
        self.at = self.at.saturating_add(len);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        read(bytes, 0).unwrap_err().to_string()
    }

    #[test]
    fn plain_values_are_built() {
        // Python 3.11: pickle.dumps({"a": [1, -2, 300, 70000, 2**70], "b": (None, True, 1.5)}, protocol=2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00\x8a\n\x00\x00\x00\x00\x00\x00\x00\x00@\x00eX\x01\x00\x00\x00bq\x03N\x88G?\xf8\x00\x00\x00\x00\x00\x00\x87q\x04u.rest";
        let Pickle { values, root, end } = read(bytes, 0).unwrap();
        assert_eq!(end, bytes.len() - 4);
        let Value::Dict(entries) = values.get(root) else { panic!("a dictionary") };
        assert_eq!(entries.iter().map(|&(key, _)| values.text(key).unwrap()).collect::<Vec<_>>(), ["a", "b"]);
        let Value::List(list) = values.get(entries[0].1) else { panic!("a list") };
        let numbers: Vec<_> = list.iter().map(|&id| values.get(id).clone()).collect();
        let long = Value::Long(vec![0, 0, 0, 0, 0, 0, 0, 0, 64, 0]);
        assert_eq!(numbers, [Value::Int(1), Value::Int(-2), Value::Int(300), Value::Int(70_000), long]);
        let tuple: Vec<_> = values.tuple(entries[1].1).unwrap().iter().map(|&id| values.get(id).clone()).collect();
        assert_eq!(tuple, [Value::None, Value::Bool(true), Value::Float(1.5)]);
    }

    #[test]
    fn underflow_and_truncation_are_errors() {
        assert!(fault(b"").contains("ends at byte 0"));
        assert!(fault(b".").contains("a value on the stack"));
        assert!(fault(b"K\x01(.").contains("a value on the stack"), "not below a mark");
        assert!(fault(b"t.").contains("a mark"));
        assert!(fault(b"a").contains("a value on the stack"));
        assert!(fault(b"}(K\x01u.").contains("in pairs"));
        assert!(fault(b"K\x01K\x02a.").contains("a list"));
        assert!(fault(b"h\x05.").contains("remembered"));
        assert!(fault(b"X\xff\xff\xff\xffabc").contains("ends at byte 8"));
        assert!(fault(b"cos").contains("ends at byte 3"));
        assert!(fault(b"K\x01K\x02R").contains("a call"));
    }

    #[test]
    fn a_flood_of_values_ends_in_an_error() {
        let bytes = vec![b']'; MAX_VALUES + 10];
        assert!(fault(&bytes).contains("more than 1000000 values"));
        // A list in itself costs nothing and ends nowhere in recursion.
        assert!(read(b"]q\x00h\x00a.", 0).is_ok());
    }
}
