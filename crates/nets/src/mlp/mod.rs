//! A network for low-dimensional data: points in the plane and the like.

mod config;
mod model;

pub use config::MlpConfig;
pub use model::{Mlp, MlpBlock};
