//! The JSON header: parsed strictly, every claim checked against the file.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::{Dtype, HeaderFault};

/// Type, shape and place of one stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, as in torch.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the data.
    pub(super) begin: u64,
    /// Length in bytes.
    pub(super) bytes: usize,
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// Parses `json` and checks it against the `available` bytes of data behind it.
    pub(super) fn parse(json: &[u8], available: u64) -> Result<Self, HeaderFault> {
        let raw: RawHeader = serde_json::from_slice(json)?;
        let mut tensors = BTreeMap::new();
        for (name, entry) in raw.tensors {
            let info = entry.check(&name)?;
            tensors.insert(name, info);
        }
        let claimed = coverage(&tensors)?;
        let data_start = 8 + json.len() as u64;
        match claimed.cmp(&available) {
            Ordering::Equal => Ok(Self { metadata: raw.metadata.0, tensors }),
            Ordering::Less => Err(HeaderFault::Trailing { bytes: available - claimed }),
            Ordering::Greater => Err(HeaderFault::Truncated {
                len: data_start + available,
                expected: data_start.saturating_add(claimed),
            }),
        }
    }
}

/// Tensors must follow one another without gap or overlap, as the format demands: where the last one ends.
fn coverage(tensors: &BTreeMap<String, TensorInfo>) -> Result<u64, HeaderFault> {
    let mut by_place: Vec<_> = tensors.iter().collect();
    by_place.sort_by_key(|(_, info)| (info.begin, info.bytes));
    let mut expected = 0;
    for (name, info) in by_place {
        if info.begin != expected {
            return Err(HeaderFault::NotContiguous { tensor: name.clone(), begin: info.begin, expected });
        }
        // The end of a tensor, which is a `u64`.
        expected += info.bytes as u64;
    }
    Ok(expected)
}

/// One tensor as the header gives it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl RawTensor {
    fn check(self, name: &str) -> Result<TensorInfo, HeaderFault> {
        let [begin, end] = self.data_offsets;
        if begin > end {
            return Err(HeaderFault::Offsets { tensor: name.into(), begin, end });
        }
        let Some(dtype) = Dtype::parse(&self.dtype) else {
            return Err(HeaderFault::Dtype { tensor: name.into(), dtype: self.dtype });
        };
        let bytes = end - begin;
        let claimed = self.shape.iter().try_fold(dtype.size() as u64, |product, &size| product.checked_mul(size));
        let shape: Option<Vec<usize>> = self.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
        match (shape, usize::try_from(bytes)) {
            (Some(shape), Ok(len)) if claimed == Some(bytes) => Ok(TensorInfo { dtype, shape, begin, bytes: len }),
            _ => Err(HeaderFault::Size { tensor: name.into(), shape: self.shape, bytes }),
        }
    }
}

/// The header before any check but that no key occurs twice (serde's maps would keep the last one silently).
struct RawHeader {
    metadata: UniqueMap<String>,
    tensors: Vec<(String, RawTensor)>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut metadata = None;
                let mut tensors = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let twice = if key == "__metadata__" {
                        metadata.replace(map.next_value()?).is_some()
                    } else {
                        tensors.insert(key.clone(), map.next_value()?).is_some()
                    };
                    if twice {
                        return Err(A::Error::custom(format_args!("`{key}` occurs twice")));
                    }
                }
                Ok(RawHeader {
                    metadata: metadata.unwrap_or(UniqueMap(BTreeMap::new())),
                    tensors: tensors.into_iter().collect(),
                })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A JSON object in which no key occurs twice.
pub(super) struct UniqueMap<T>(pub(super) BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for UniqueMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = UniqueMap<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueMap<T>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if entries.insert(key.clone(), map.next_value()?).is_some() {
                        return Err(A::Error::custom(format_args!("`{key}` occurs twice")));
                    }
                }
                Ok(UniqueMap(entries))
            }
        }
        deserializer.deserialize_map(Keys(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str, available: u64) -> String {
        Header::parse(json.as_bytes(), available).expect_err("the header is bad").to_string()
    }

    #[test]
    fn a_good_header_is_read() {
        let json = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[],"data_offsets":[24,26]},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
        let header = Header::parse(json.as_bytes(), 26).unwrap();
        assert_eq!(header.metadata["format"], "pt");
        assert_eq!(header.tensors["a"], TensorInfo { dtype: Dtype::F32, shape: vec![2, 3], begin: 0, bytes: 24 });
        assert_eq!(header.tensors["b"].shape, Vec::<usize>::new());
    }

    #[test]
    fn every_false_claim_is_named() {
        for (json, available, expected) in [
            ("", 0, "malformed"),
            ("[1]", 0, "expected an object of tensors"),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                8,
                "`a` occurs twice",
            ),
            (r#"{"__metadata__":{"x":"1","x":"2"}}"#, 0, "`x` occurs twice"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"shape":[1]}}"#, 4, "duplicate field"),
            (r#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, 4, "unknown type `F33`"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "does not fill"),
            (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "does not fill"),
            (r#"{"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}}"#, 4, "does not fill"),
            (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "malformed"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "bytes 4..0"),
            (
                r#"{"a":{"dtype":"F32","shape":[2500000000],"data_offsets":[0,10000000000]}}"#,
                4,
                "truncated: 85 of 10000000081 bytes",
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                8,
                "starts at byte 4 of the data, expected 0",
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                8,
                "`b` starts at byte 0",
            ),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 9, "5 bytes at its end"),
        ] {
            let message = fault(json, available);
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}
