//! A [`Weight`] as a file has it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::Weight;
use crate::named::{name_or_table, no_parameter};

/// The names.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Simple,
    Bound,
    MinSnr,
    P2,
    Sigmoid,
}

/// A [`Weight`] in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: Kind,
    gamma: Option<f64>,
    k: Option<f64>,
}

impl TryFrom<Table> for Weight {
    type Error = String;

    fn try_from(Table { kind, gamma, k }: Table) -> Result<Self, String> {
        let usual = match kind {
            Kind::Simple => Self::Simple,
            Kind::Bound => Self::Bound,
            Kind::MinSnr => Self::MIN_SNR,
            Kind::P2 => Self::P2,
            Kind::Sigmoid => Self::SIGMOID,
        };
        let surplus = |found: &str, known: &[&str]| Err(no_parameter(found, usual.name(), known));
        match (usual, gamma, k) {
            (Self::MinSnr { gamma: usual }, gamma, None) => Ok(Self::MinSnr { gamma: gamma.unwrap_or(usual) }),
            (Self::MinSnr { .. }, _, Some(_)) => surplus("k", &["gamma"]),
            (Self::P2 { gamma: g, k: usual }, gamma, k) => {
                Ok(Self::P2 { gamma: gamma.unwrap_or(g), k: k.unwrap_or(usual) })
            }
            (Self::Sigmoid { k: usual }, None, k) => Ok(Self::Sigmoid { k: k.unwrap_or(usual) }),
            (Self::Sigmoid { .. }, Some(_), _) => surplus("gamma", &["k"]),
            (Self::Simple | Self::Bound, None, None) => Ok(usual),
            (Self::Simple | Self::Bound, gamma, _) => surplus(if gamma.is_some() { "gamma" } else { "k" }, &[]),
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_table::<D, Table>(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Names without parameters stay names.
        #[derive(Serialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        enum Written {
            MinSnr { gamma: f64 },
            P2 { gamma: f64, k: f64 },
            Sigmoid { k: f64 },
        }
        match *self {
            Self::Simple | Self::Bound => serializer.serialize_str(self.name()),
            Self::MinSnr { gamma } => Written::MinSnr { gamma }.serialize(serializer),
            Self::P2 { gamma, k } => Written::P2 { gamma, k }.serialize(serializer),
            Self::Sigmoid { k } => Written::Sigmoid { k }.serialize(serializer),
        }
    }
}
