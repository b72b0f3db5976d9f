//! The features of the classifier that comes with the program.

use burn::tensor::{Int, Tensor};
use sfumato_kernels::Backend;
use sfumato_nets::NetError;

use super::{
    FeatureError, Features, GREY_CLASSES, GREY_FEATURES, GREY_SIDE, GreyNet, embedded::Embedded, grey_pictures,
};

/// The weights that `examples/train_grey.rs` writes.
const WEIGHTS: &[u8] = include_bytes!("../../data/grey-28.safetensors");

/// SHA-256 of the embedded weights.
pub const GREY_SHA256: &str = "7d93c5db9f3438026cf34b732c7aabe2c2fe3eef60e35e2b0c5da4d3601a4776";

/// Features of grey pictures of 28×28 pixels: the last layer but one of a small classifier, trained on Fashion-MNIST.
///
/// Values in other features, such as Inception's, are not comparable with these.
#[derive(Debug)]
pub struct GreyFeatures<B: Backend> {
    net: GreyNet<B>,
    device: B::Device,
}

impl<B: Backend> GreyFeatures<B> {
    /// The classifier with its embedded weights.
    ///
    /// # Errors
    /// [`NetError`] if the program was built with a file of other weights.
    pub fn new(device: &B::Device) -> Result<Self, NetError> {
        let mut source = Embedded::new(WEIGHTS).map_err(NetError::Source)?;
        Ok(Self { net: GreyNet::build(&mut source, device)?, device: device.clone() })
    }
}

impl<B: Backend> Features for GreyFeatures<B> {
    fn name(&self) -> &str {
        "grey-28"
    }

    fn sha256(&self) -> &str {
        GREY_SHA256
    }

    fn dims(&self) -> usize {
        GREY_FEATURES
    }

    fn classes(&self) -> Option<usize> {
        Some(GREY_CLASSES)
    }

    fn batch_size(&self) -> usize {
        200
    }

    fn check(&self, shape: &[usize]) -> Result<(), FeatureError> {
        if *shape == [1, GREY_SIDE, GREY_SIDE] {
            return Ok(());
        }
        Err(FeatureError::Shape {
            features: self.name().to_owned(),
            wanted: "28×28 grey pixels",
            found: shape.to_vec(),
            way_out: "for others give weights of your own: inception:FILE.pth",
        })
    }

    fn see(&self, values: Vec<f32>, _: [usize; 3]) -> (Vec<f32>, Vec<usize>) {
        let features = self.net.features(grey_pictures(values, &self.device));
        let classes: Tensor<B, 2, Int> = self.net.logits(features.clone()).argmax(1);
        let classes =
            classes.into_data().convert::<i64>().into_vec::<i64>().expect("the data was just converted to i64");
        let rows = features.into_data().convert::<f32>().into_vec().expect("the data was just converted to f32");
        (rows, classes.into_iter().map(|class| class as usize).collect())
    }
}
