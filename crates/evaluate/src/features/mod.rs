//! Features of pictures: what a network sees in them, which is what distances are measured in.
//!
//! A distance means something only beside the name of its features: every result here says their name and their checksum.

mod embedded;
mod extract;
mod grey;
mod grey_features;

pub use extract::{FeatureError, Features, Seen, extract};
pub use grey::{Block, GREY_CLASSES, GREY_FEATURES, GREY_SIDE, GreyNet, grey_pictures};
pub use grey_features::{GREY_SHA256, GreyFeatures};
