//! One file a command: from arguments to a plan, and the plan carried out.

pub(crate) mod average;
pub(crate) mod compare;
pub(crate) mod encode;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod interpolate;
pub(crate) mod report;
pub(crate) mod sample;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod train;
