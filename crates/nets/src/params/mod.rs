//! Where parameters come from, and how they leave.
//!
//! A network is built in one way only: its layers ask a [`ParamSource`] for each tensor by its full name. The source
//! draws the values ([`RandomParams`]) or reads them from a file; the network cannot tell the difference, so that a
//! model built from a file has exactly the structure of one built from a seed.

mod builder;
mod collect;
mod load;
mod random;

pub use builder::Builder;
pub use collect::{NamedTensor, Parameter, named_parameters, parameters};
pub use load::load;
pub use random::RandomParams;

use crate::SourceError;

/// How a parameter starts when it is not read from a file.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// Uniform in `±1/√fan_in`: torch's default for weights and biases of convolutions and linear layers.
    FanIn(usize),
    /// As [`Init::FanIn`], for the layer that ends a residual branch or the network. DDPM starts these at zero, which makes
    /// each block the identity and the first prediction zero; diffusers does not.
    Last(usize),
    /// Normal with this standard deviation: embeddings (1) and Fourier frequencies.
    Normal(f64),
    /// All ones: scales of norms.
    Ones,
    /// All zeros: shifts of norms.
    Zeros,
    /// As its module has made it: only [stored](ParamSource::is_stored) values are asked for.
    Kept,
}

/// A source of parameter values.
pub trait ParamSource {
    /// Values of the parameter `name`, row-major, as many as the product of `shape`.
    ///
    /// A source that has no such values returns an empty vector, remembers why, and fails in [`ParamSource::finish`];
    /// the network under construction holds an empty placeholder until then.
    fn values(&mut self, name: &str, shape: &[usize], init: Init) -> Vec<f32>;

    /// Whether the values are those of a network that exists, and not drawn for a new one.
    fn is_stored(&self) -> bool {
        true
    }

    /// Called once every parameter has been asked for.
    ///
    /// # Errors
    /// Everything that went wrong, in one error.
    fn finish(&mut self) -> Result<(), SourceError> {
        Ok(())
    }
}
