//! Inception-v3 as the package `pytorch-fid` has it, for distances that can be compared with those in papers.
//!
//! The network is torchvision's with the changes of the original FID: pooling that leaves padding out of its means, and a maximum in the
//! last block. The weights are not part of the program: they are read from a user's file, `pt_inception-2015-12-05-6726825d.pth`.
//! Parity with `pytorch-fid` is tested on weights that are a formula.

mod blocks;
mod conv;
mod features;
mod network;
mod resize;

pub use features::{INCEPTION_FEATURES, InceptionError, InceptionFeatures};
pub use network::Inception;
pub use resize::{INCEPTION_SIDE, to_inception};
