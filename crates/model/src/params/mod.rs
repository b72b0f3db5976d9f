//! Parameters in files: a [source](sfumato_nets::params::ParamSource) of those that a network is built with, and the way back.

mod file;
mod names;
mod transfer;
mod write;

pub use file::{FileParams, Misshaped, WeightsMismatch};
pub use transfer::{How, Row, Rule, Transfer, TransferParams, Wanted, WantedParams};
pub use write::{write_parameters, write_parameters_as};
