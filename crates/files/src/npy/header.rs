//! The header of a `.npy` file: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//!
//! It is a Python dictionary literal, of which NumPy only ever writes one form. A few lines that know this form suffice,
//! and keep the promises that a general parser (as in the crate `npyz`) does not: a header that claims to be 4 GiB long
//! reserves nothing, and sizes whose product passes 64 bits do not wrap around to a small number.

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Element type in NumPy's notation, e.g. `<f4`.
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// Longest header that is read. NumPy itself refuses more than 10,000 characters of unknown origin.
pub(super) const MAX_HEADER: usize = 1 << 16;

impl Header {
    /// The bytes of a version 1.0 file before its data: a multiple of 64.
    pub(super) fn encode(&self) -> Vec<u8> {
        let shape: String = self.shape.iter().map(|n| format!("{n}, ")).collect();
        // As Python prints a tuple: `(3,)` and `(3, 4)`.
        let shape = match self.shape.len() {
            1 => shape.trim_end().to_owned(),
            _ => shape.trim_end_matches(", ").to_owned(),
        };
        let order = if self.fortran_order { "True" } else { "False" };
        let dictionary = format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': ({shape}), }}", self.descr);
        // Magic, version and length take 10 bytes; a newline ends the header.
        let padded = (10 + dictionary.len() + 1).next_multiple_of(64) - 10;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(padded).expect("a shape of few axes fits into 64 KiB").to_le_bytes());
        bytes.extend(format!("{dictionary:<width$}\n", width = padded - 1).bytes());
        bytes
    }

    /// Reads the dictionary.
    pub(super) fn parse(text: &str) -> Result<Header, &'static str> {
        let mut cursor = Cursor { rest: text };
        let (mut descr, mut order, mut shape) = (None, None, None);
        cursor.expect('{')?;
        while !cursor.take('}') {
            let key = cursor.string()?;
            cursor.expect(':')?;
            match key {
                "descr" if cursor.rest.trim_start().starts_with('[') => {
                    return Err("its elements are records, not numbers");
                }
                "descr" => descr = Some(cursor.string()?.to_owned()),
                "fortran_order" => order = Some(cursor.boolean()?),
                "shape" => shape = Some(cursor.tuple()?),
                _ => return Err("its header has an unknown key"),
            }
            if !cursor.take(',') {
                cursor.expect('}')?;
                break;
            }
        }
        if !cursor.rest.trim().is_empty() {
            return Err("its header goes on after the dictionary");
        }
        Ok(Header {
            descr: descr.ok_or("its header lacks `descr`")?,
            fortran_order: order.ok_or("its header lacks `fortran_order`")?,
            shape: shape.ok_or("its header lacks `shape`")?,
        })
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Skips white space, then `wanted` if it is next.
    fn take(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), &'static str> {
        self.take(wanted).then_some(()).ok_or("its header is not a dictionary as NumPy writes it")
    }

    fn string(&mut self) -> Result<&'a str, &'static str> {
        let quote = if self.take('\'') {
            '\''
        } else if self.take('"') {
            '"'
        } else {
            return Err("its header lacks a string");
        };
        let (string, rest) = self.rest.split_once(quote).ok_or("its header has an open string")?;
        self.rest = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, &'static str> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("its `fortran_order` is neither True nor False")
    }

    fn tuple(&mut self) -> Result<Vec<u64>, &'static str> {
        const REASON: &str = "its `shape` is not a tuple of sizes";
        if !self.take('(') {
            return Err(REASON);
        }
        let mut shape = Vec::new();
        while !self.take(')') {
            self.rest = self.rest.trim_start();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            shape.push(self.rest[..digits].parse().map_err(|_| REASON)?);
            // Python 2 wrote long integers as 3L.
            self.rest = self.rest[digits..].trim_start_matches('L');
            if !self.take(',') && !self.rest.trim_start().starts_with(')') {
                return Err(REASON);
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(shape: &[u64]) -> Header {
        Header { descr: "<f4".into(), fortran_order: false, shape: shape.to_vec() }
    }

    #[test]
    fn headers_are_written_as_numpy_writes_them() {
        for (shape, text) in
            [(&[][..], "()"), (&[3], "(3,)"), (&[3, 4], "(3, 4)"), (&[64, 1, 28, 28], "(64, 1, 28, 28)")]
        {
            let bytes = header(shape).encode();
            assert_eq!((bytes.len() % 64, &bytes[..8], bytes.last()), (0, &b"\x93NUMPY\x01\x00"[..], Some(&b'\n')));
            assert_eq!(usize::from(bytes[8]) + 256 * usize::from(bytes[9]), bytes.len() - 10);
            let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}, }}");
            assert_eq!(std::str::from_utf8(&bytes[10..]).unwrap().trim_end(), dictionary);
            assert_eq!(Header::parse(&dictionary).unwrap(), header(shape));
        }
    }

    #[test]
    fn other_spellings_of_the_same_header_are_understood() {
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}",
            "{\"shape\":(3L,4L,),\"fortran_order\":False,\"descr\":\"<f4\"}  \n",
            "  { 'shape' : ( 3 , 4 ) , 'descr' : '<f4' , 'fortran_order' : False , }",
        ] {
            assert_eq!(Header::parse(text).unwrap(), header(&[3, 4]), "{text}");
        }
    }

    #[test]
    fn damaged_headers_are_explained() {
        for (text, reason) in [
            ("", "dictionary"),
            ("[1, 2]", "dictionary"),
            ("{'descr': '<f4', 'fortran_order': False}", "lacks `shape`"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", "records, not numbers"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}", "neither True nor False"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", "tuple of sizes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}", "tuple of sizes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "tuple of sizes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}", "unknown key"),
            ("{'descr': '<f4", "open string"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x", "goes on"),
        ] {
            assert!(Header::parse(text).unwrap_err().contains(reason), "{text}");
        }
        assert!(Header::parse(&"(".repeat(MAX_HEADER)).is_err());
        assert!(Header::parse(&format!("{{'shape': {}", "(".repeat(MAX_HEADER))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[{}()':,TrueFals0-9L \\\\é]*") {
            let _ = Header::parse(&text);
        }
    }
}
