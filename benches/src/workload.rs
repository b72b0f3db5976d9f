//! The networks that are measured.

use sfumato_kernels::Precision;
use sfumato_nets::unet::{DownBlockType, SampleSize, UNet2DConfig, UpBlockType};

/// A network and the batch it is measured with.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its structure.
    pub config: UNet2DConfig,
    /// Height and width of the images.
    pub size: usize,
    /// Images in a batch.
    pub batch: usize,
    /// What convolutions and attention multiply.
    pub precision: Precision,
}

impl Workload {
    /// The network of the default preset: 28×28×1, channels 32-64-64, attention at 14×14, 1.6M parameters; batch 64.
    pub fn small() -> Self {
        let config = UNet2DConfig {
            sample_size: Some(SampleSize::Square(28)),
            in_channels: 1,
            out_channels: 1,
            block_out_channels: vec![32, 64, 64],
            down_block_types: vec![
                DownBlockType::DownBlock2D,
                DownBlockType::AttnDownBlock2D,
                DownBlockType::DownBlock2D,
            ],
            up_block_types: vec![UpBlockType::UpBlock2D, UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
            attention_head_dim: None,
            norm_num_groups: 8,
            ..UNet2DConfig::default()
        };
        Self { name: "small", config, size: 28, batch: 64, precision: Precision::F32 }
    }

    /// The network of `google/ddpm-cifar10-32` (Ho et al. 2020): 32×32×3, 35.7M parameters; batch 16.
    pub fn cifar10() -> Self {
        use {DownBlockType::*, UpBlockType::*};
        let config = UNet2DConfig {
            sample_size: Some(SampleSize::Square(32)),
            block_out_channels: vec![128, 256, 256, 256],
            down_block_types: vec![DownBlock2D, AttnDownBlock2D, DownBlock2D, DownBlock2D],
            up_block_types: vec![UpBlock2D, UpBlock2D, AttnUpBlock2D, UpBlock2D],
            attention_head_dim: None,
            norm_eps: 1e-6,
            freq_shift: 1,
            flip_sin_to_cos: false,
            downsample_padding: 0,
            ..UNet2DConfig::default()
        };
        Self { name: "cifar10", config, size: 32, batch: 16, precision: Precision::F32 }
    }

    /// Both.
    pub fn all() -> [Self; 2] {
        [Self::small(), Self::cifar10()]
    }

    /// The same network with `batch` images at a time.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// The same network in `precision`.
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same network on images of `size` × `size`.
    pub fn with_size(mut self, size: usize) -> Self {
        self.config.sample_size = Some(SampleSize::Square(size));
        Self { size, ..self }
    }

    /// The same network without self-attention, whose work grows with the square of the number of pixels.
    pub fn without_attention(mut self) -> Self {
        self.config.down_block_types.fill(DownBlockType::DownBlock2D);
        self.config.up_block_types.fill(UpBlockType::UpBlock2D);
        self.config.add_attention = false;
        self
    }

    /// `[batch, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.batch, self.config.in_channels, self.size, self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_have_the_parameters_that_they_are_known_by() {
        assert_eq!(Workload::cifar10().config.num_params(), 35_746_307);
        let small = Workload::small().config.num_params();
        assert!((1_550_000..1_650_000).contains(&small), "{small}");
    }
}
