//! The layers of the networks.
//!
//! They replace Burn's own for three reasons: their fields carry torch's names, so that a visitor's path is a diffusers
//! tensor name; their weights have torch's layout (`[out, in]`); and they call the fused operations of `sfumato-kernels`.

mod activation;
mod conv;
mod dropout;
mod dtype;
mod embedding;
mod group_norm;
mod linear;

pub use activation::Activation;
pub use conv::{Conv2d, ConvKind};
pub use dropout::{Dropout, DropoutKey};
pub(crate) use dtype::in_type_of;
pub use embedding::Embedding;
pub(crate) use embedding::look_up;
pub use group_norm::GroupNorm;
pub use linear::Linear;
