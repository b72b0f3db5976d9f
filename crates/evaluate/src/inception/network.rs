//! The whole network.

use burn::tensor::Tensor;
use sfumato_kernels::Backend;
use sfumato_nets::{NetError, params::ParamSource};

use super::{
    blocks::{Block, Pool, a, b, c, d, e},
    conv::{Conv, Source, max3},
};

/// Inception-v3 up to the 2048 features of its last pooling.
#[derive(Debug)]
pub struct Inception<B: Backend> {
    stem: Vec<Conv<B>>,
    blocks: Vec<Block<B>>,
}

/// Convolutions of the stem after which pixels are pooled.
const POOLED_AFTER: [usize; 2] = [2, 4];

impl<B: Backend> Inception<B> {
    /// The network with parameters under torchvision's names from `source`: kernels, and scale, shift, mean and variance of the norms.
    ///
    /// # Errors
    /// [`NetError::Source`] with what the source reports.
    pub fn build(source: &mut dyn ParamSource, device: &B::Device) -> Result<Self, NetError> {
        let mut s = Source::<B> { params: source, device, within: String::new() };
        let stem = vec![
            s.valid("Conv2d_1a_3x3", 3, 32, 3, 2),
            s.valid("Conv2d_2a_3x3", 32, 32, 3, 1),
            s.same("Conv2d_2b_3x3", 32, 64, [3, 3]),
            s.valid("Conv2d_3b_1x1", 64, 80, 1, 1),
            s.valid("Conv2d_4a_3x3", 80, 192, 3, 1),
        ];
        let mut block = |name: &str, make: &dyn Fn(&mut Source<'_, B>) -> Block<B>| {
            s.within = format!("{name}.");
            make(&mut s)
        };
        let blocks = vec![
            block("Mixed_5b", &|s| a(s, 192, 32)),
            block("Mixed_5c", &|s| a(s, 256, 64)),
            block("Mixed_5d", &|s| a(s, 288, 64)),
            block("Mixed_6a", &|s| b(s, 288)),
            block("Mixed_6b", &|s| c(s, 768, 128)),
            block("Mixed_6c", &|s| c(s, 768, 160)),
            block("Mixed_6d", &|s| c(s, 768, 160)),
            block("Mixed_6e", &|s| c(s, 768, 192)),
            block("Mixed_7a", &|s| d(s, 768)),
            block("Mixed_7b", &|s| e(s, 1280, Pool::Mean)),
            block("Mixed_7c", &|s| e(s, 2048, Pool::Max)),
        ];
        source.finish().map_err(NetError::Source)?;
        Ok(Self { stem, blocks })
    }

    /// Features, `[batch, 2048]`, of pictures `[batch, 3, 299, 299]` in [-1, 1].
    pub fn features(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let mut x = x;
        for (place, conv) in self.stem.iter().enumerate() {
            x = conv.forward(x);
            if POOLED_AFTER.contains(&place) {
                x = max3(x, 2, 0);
            }
        }
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}
