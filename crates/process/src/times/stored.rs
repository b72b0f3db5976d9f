//! A [`Density`] as a file has it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Density, LevelOptions};
use crate::named::{name_or_table, no_parameter};

/// The names.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Uniform,
    Stratified,
    Importance,
    LogNormal,
    Laplace,
}

/// A [`Density`] in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniform_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strata: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unbiased: Option<bool>,
}

impl Table {
    /// The first parameter that is given but not one of `known`.
    fn surplus(&self, known: &[&str]) -> Option<&'static str> {
        let given = [
            ("mean", self.mean.is_some()),
            ("deviation", self.deviation.is_some()),
            ("scale", self.scale.is_some()),
            ("uniform_share", self.uniform_share.is_some()),
            ("strata", self.strata.is_some()),
            ("unbiased", self.unbiased.is_some()),
        ];
        given.into_iter().find(|(name, given)| *given && !known.contains(name)).map(|(name, _)| name)
    }

    fn options(&self) -> LevelOptions {
        let usual = LevelOptions::USUAL;
        LevelOptions {
            uniform_share: self.uniform_share.unwrap_or(usual.uniform_share),
            strata: self.strata.unwrap_or(usual.strata),
            unbiased: self.unbiased.unwrap_or(usual.unbiased),
        }
    }
}

impl TryFrom<Table> for Density {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let options = table.options();
        let (density, known): (Self, &[&str]) = match table.kind {
            Kind::Uniform => (Self::Uniform, &[]),
            Kind::Stratified => (Self::Stratified, &[]),
            Kind::Importance => (Self::Importance { strata: options.strata }, &["strata"]),
            Kind::LogNormal => {
                let (mean, deviation) = (table.mean.unwrap_or(-1.2), table.deviation.unwrap_or(1.2));
                let known = &["mean", "deviation", "uniform_share", "strata", "unbiased"];
                (Self::LogNormal { mean, deviation, options }, known)
            }
            Kind::Laplace => {
                let (mean, scale) = (table.mean.unwrap_or(0.0), table.scale.unwrap_or(0.5));
                let known = &["mean", "scale", "uniform_share", "strata", "unbiased"];
                (Self::Laplace { mean, scale, options }, known)
            }
        };
        match table.surplus(known) {
            Some(found) => Err(no_parameter(found, density.name(), known)),
            None => Ok(density),
        }
    }
}

impl From<Density> for Table {
    fn from(density: Density) -> Self {
        let bare = |kind| Self {
            kind,
            mean: None,
            deviation: None,
            scale: None,
            uniform_share: None,
            strata: None,
            unbiased: None,
        };
        let with = |table: Self, options: LevelOptions| Self {
            uniform_share: Some(options.uniform_share),
            strata: Some(options.strata),
            unbiased: Some(options.unbiased),
            ..table
        };
        match density {
            Density::Uniform => bare(Kind::Uniform),
            Density::Stratified => bare(Kind::Stratified),
            Density::Importance { strata } => Self { strata: Some(strata), ..bare(Kind::Importance) },
            Density::LogNormal { mean, deviation, options } => {
                with(Self { mean: Some(mean), deviation: Some(deviation), ..bare(Kind::LogNormal) }, options)
            }
            Density::Laplace { mean, scale, options } => {
                with(Self { mean: Some(mean), scale: Some(scale), ..bare(Kind::Laplace) }, options)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Density {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_table::<D, Table>(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl Serialize for Density {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Names without parameters stay names.
            Self::Uniform | Self::Stratified | Self::Importance { strata: false } => {
                serializer.serialize_str(self.name())
            }
            _ => Table::from(*self).serialize(serializer),
        }
    }
}
