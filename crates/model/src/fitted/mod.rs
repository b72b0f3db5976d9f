//! A model that has been fitted: numbers measured on data lie beside its weights, and chains are made of them.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`FIT_FILE`] | the file in the model's directory; diffusers passes it over |
//! | [`ModelFit`], [`Pipeline::fit`](crate::pipeline::Pipeline::fit), [`Pipeline::write_fit`](crate::pipeline::Pipeline::write_fit) | its content, read and written |
//! | [`Model::measure`](crate::Model::measure) | the pass over data that makes it |
//! | [`Placement`], [`ChainChoice`] | which steps a chain visits, and with which variances |

mod chain;
mod error;
mod file;
mod measure;
mod placement;

pub use chain::ChainChoice;
pub use error::FitFileError;
pub use file::{FIT_FILE, ModelFit};
pub use placement::{Placement, UnknownPlacement};
