//! The right operand is cut into panels.

use crate::simd::L;

/// Columns of a panel of `B`.
pub(crate) const PANEL: usize = 2 * L;
