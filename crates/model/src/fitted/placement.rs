//! Which steps of the trained chain a shorter one visits.

use std::{fmt, str::FromStr};

use sfumato_schedule::nearest;

use crate::Spacing;

/// How the visited steps are placed: by a rule, or where a fit of the model says that the bound is least.
///
/// # Examples
/// ```
/// use sfumato_model::{Spacing, fitted::Placement};
///
/// assert_eq!("best".parse(), Ok(Placement::Best));
/// assert_eq!("Trailing".parse(), Ok(Placement::from(Spacing::Trailing)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placement {
    /// By a rule that knows the number of steps alone.
    By(Spacing),
    /// The steps with the least bound: Watson et al. (2021), arXiv:2106.03802. It takes a fit.
    Best,
}

impl Placement {
    /// The names that [`FromStr`] understands.
    pub const NAMES: [&'static str; 4] = ["leading", "linspace", "trailing", "best"];

    /// The name on command lines and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::By(spacing) => spacing.name(),
            Self::Best => "best",
        }
    }
}

impl Default for Placement {
    /// Both ends and evenly between them: what is scored if nothing is said.
    fn default() -> Self {
        Self::By(Spacing::Linspace)
    }
}

impl From<Spacing> for Placement {
    fn from(spacing: Spacing) -> Self {
        Self::By(spacing)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Placement {
    type Err = UnknownPlacement;

    fn from_str(name: &str) -> Result<Self, UnknownPlacement> {
        match (name.parse(), name.eq_ignore_ascii_case("best")) {
            (_, true) => Ok(Self::Best),
            (Ok(spacing), false) => Ok(Self::By(spacing)),
            (Err(_), false) => Err(UnknownPlacement { name: name.to_owned() }),
        }
    }
}

/// A name that no placement has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no spacing is called `{name}`{} (expected one of {})", hint(name), Placement::NAMES.join(", "))]
pub struct UnknownPlacement {
    /// The name that was given.
    pub name: String,
}

fn hint(name: &str) -> String {
    nearest(name, &Placement::NAMES).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}
