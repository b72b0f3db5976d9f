//! Multiplications of a network, and the time that Winograd's algorithm would need for them at the machine's peak.

use burn::backend::Flex;
use sfumato_nets::params::{Init, ParamSource};
use sfumato_nets::{NetError, unet::UNet2DConfig};

/// Multiplications that F(4×4, 3×3) saves: 144 for 16 outputs become 36 (Lavin & Gray 2016, arXiv:1509.09308, §4.3).
const WINOGRAD: f64 = 4.0;
/// The same behind nearest upsampling, where 25 are left (`sfumato_kernels::upsample_conv2d`).
const UPSAMPLED: f64 = 144.0 / 25.0;

/// Multiply-adds of one evaluation for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In 3×3 convolutions of stride 1, counted as direct convolutions, but for those behind an upsampling.
    pub winograd: u64,
    /// In those.
    pub upsampled: u64,
    /// In everything else: other convolutions, linear maps, attention.
    pub other: u64,
}

impl Cost {
    /// That of `config` on images of `size` × `size`.
    ///
    /// # Errors
    /// [`NetError`] if the configuration is invalid.
    pub fn of(config: &UNet2DConfig, size: usize) -> Result<Self, NetError> {
        let mut names = Names(Vec::new());
        config.build::<Flex>(&mut names, &Default::default())?;
        let mut cost = Self { winograd: 0, upsampled: 0, other: 0 };
        for (name, shape) in &names.0 {
            let upsampled = ["upsamplers.0.conv.", "upsamplers.0.conv1."].iter().any(|conv| name.contains(conv));
            *(if upsampled { &mut cost.upsampled } else { &mut cost.winograd }) +=
                multiply_adds(config, size, name, shape);
        }
        cost.other = config.summarize([size, size]).multiply_adds() - cost.winograd - cost.upsampled;
        Ok(cost)
    }

    /// Seconds for one image at `peak` operations a second (2 a multiply-add), with the fewest multiplications: the time
    /// below which no program with these algorithms can come. A training step is three evaluations: the
    /// gradients for inputs and for weights cost one each.
    pub fn least_seconds(&self, peak: f64) -> f64 {
        2.0 * (self.winograd as f64 / WINOGRAD + self.upsampled as f64 / UPSAMPLED + self.other as f64) / peak
    }
}

/// Multiply-adds of the 3×3 stride-1 convolution with this weight; 0 for every other parameter.
fn multiply_adds(config: &UNet2DConfig, size: usize, name: &str, shape: &[usize]) -> u64 {
    let &[outputs, inputs, 3, 3] = shape else { return 0 };
    let levels = config.block_out_channels.len();
    let mut path = name.split('.');
    let (block, index) = (path.next(), path.next().and_then(|index| index.parse::<usize>().ok()));
    let halvings = match (block, index) {
        (Some("down_blocks"), Some(_)) if name.contains("downsamplers") => return 0, // stride 2
        (Some("down_blocks"), Some(level)) => level,
        (Some("up_blocks"), Some(level)) => levels - 1 - level - usize::from(name.contains("upsamplers")),
        (Some("mid_block"), _) => levels - 1,
        _ => 0,
    };
    let side = size >> halvings;
    (outputs * inputs * 9 * side * side) as u64
}

/// Writes down which parameters a network asks for.
struct Names(Vec<(String, Vec<usize>)>);

impl ParamSource for Names {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.0.push((name.to_owned(), shape.to_vec()));
        vec![0.0; shape.iter().product()]
    }
}

#[cfg(test)]
mod tests {
    use sfumato_nets::unet::{DownBlockType, UpBlockType};

    use super::*;

    #[test]
    fn convolutions_are_counted_at_the_size_they_run_at() {
        let config = UNet2DConfig {
            in_channels: 1,
            out_channels: 1,
            block_out_channels: vec![8, 16],
            down_block_types: vec![DownBlockType::DownBlock2D; 2],
            up_block_types: vec![UpBlockType::UpBlock2D; 2],
            layers_per_block: 1,
            norm_num_groups: 4,
            add_attention: false,
            ..UNet2DConfig::default()
        };
        // inputs × outputs of each, at 8×8 and at 4×4 pixels.
        let full = 8 + (8 * 8 + 8 * 8) + (24 * 8 + 8 * 8) + (16 * 8 + 8 * 8) + 8;
        let half = (8 * 16 + 16 * 16) + 4 * 16 * 16 + (32 * 16 + 16 * 16) + (24 * 16 + 16 * 16);
        let cost = Cost::of(&config, 8).unwrap();
        assert_eq!(cost.winograd, 9 * (64 * full + 16 * half));
        assert_eq!(cost.upsampled, 9 * 64 * 16 * 16);
        assert!(cost.other > 0 && cost.other < cost.winograd / 4, "{cost:?}");
    }

    #[test]
    fn the_least_time_counts_winograd_at_a_quarter_and_less_behind_upsampling() {
        let cost = Cost { winograd: 400, upsampled: 288, other: 50 };
        assert_eq!(cost.least_seconds(100.0), 4.0);
    }
}
