//! Whether there is memory for a run: what cannot be is refused before the work, with the key that asks for it.
//!
//! The figures are bounds from below. What they refuse cannot work; what they let pass may still be too much.

use sfumato_data::Dataset;
use sfumato_files::memory;
use sfumato_model::pipeline::AnyConfig;

use super::{TrainConfig, check};
use crate::TrainError;

const FLOAT: f64 = size_of::<f32>() as f64;
/// A weight, its gradient, its two moments and its average.
const PER_WEIGHT: f64 = 5.0 * FLOAT;

/// Bytes for each number that the layers of a U-Net put out for an example, at its most: 0.43 to 0.77 of a float were measured in a CPU's memory,
/// with two networks and images of 28×28 to 128×128 (`sfumato-bench train NETWORK --batch N --size S`, by the difference of two batches).
const PER_ACTIVATION: f64 = 0.8 * FLOAT;
/// The program and its threads.
const PROGRAM: f64 = 4e7;

/// About how much memory a training takes at its most, where the network is a U-Net.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedMemory {
    /// Bytes whatever the batch: the program, weights, gradients, moments and averages, and the examples.
    pub fixed: f64,
    /// Bytes for each example that is computed at a time.
    pub each: f64,
    /// Examples that are computed at a time: the largest shard of a batch.
    pub at_a_time: usize,
}

impl ExpectedMemory {
    /// All of it, in bytes.
    pub fn bytes(&self) -> f64 {
        self.fixed + self.at_a_time as f64 * self.each
    }

    /// Examples at a time that `memory` bytes are enough for; none if not even one is.
    pub fn most_at_a_time(&self, memory: f64) -> Option<usize> {
        let most = (memory - self.fixed) / self.each;
        (most >= 1.0).then_some(most as usize)
    }
}

/// Least number of values that a network holds at a time for one example of `shape`, gradients to come or not.
fn activations(network: &AnyConfig, shape: &[usize], gradients: bool) -> f64 {
    match network {
        AnyConfig::UNet(config) => {
            let &[_, height, width] = shape else { return 0.0 };
            let pixels = (height * width) as f64;
            let levels = config.block_out_channels.iter().zip(0..);
            // What the way up takes over from the way down; for gradients, as much again of the way up.
            let blocks = (config.layers_per_block + 1) as f64 * if gradients { 2.0 } else { 1.0 };
            levels.map(|(&channels, level)| blocks * channels as f64 * pixels / 4f64.powi(level)).sum()
        }
        // What it holds is its own affair.
        AnyConfig::Own(_) => 0.0,
        AnyConfig::Mlp(config) => {
            config.hidden_dim as f64 * if gradients { 2.0 * config.num_blocks as f64 } else { 1.0 }
        }
    }
}

/// Least bytes that the network takes to look at a batch of examples of `shape`, without training.
pub fn least_to_predict(network: &AnyConfig, shape: &[usize], batch: usize) -> f64 {
    let example = shape.iter().product::<usize>() as f64;
    FLOAT * (network.num_params() as f64 + batch as f64 * (3.0 * example + activations(network, shape, false)))
}

impl TrainConfig {
    /// Checks that the network, a batch and the sample grids have room in `memory` bytes. What the network computes counts only
    /// if that is where it computes (`on_host`).
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] with the key that asks for too much.
    pub fn check_memory(&self, data: &dyn Dataset, memory: u64, on_host: bool) -> Result<(), TrainError> {
        self.check_room(&self.network(data)?, data.shape(), memory as f64, on_host)
    }

    /// About how much memory the training takes at its most where it computes in the host's memory; none for networks that are no U-Nets, whose
    /// activations take little or are not known.
    ///
    /// # Errors
    /// As [`TrainConfig::network`].
    pub fn expected_memory(&self, data: &dyn Dataset) -> Result<Option<ExpectedMemory>, TrainError> {
        let network = self.network(data)?;
        let (AnyConfig::UNet(config), &[_, height, width]) = (&network, data.shape()) else { return Ok(None) };
        let weights = network.num_params() as f64;
        // Sums of shards, and the power-function averages.
        let shards = self.training.cut();
        let more = FLOAT * (f64::from(shards.most_sums()) + self.averages.widths.len() as f64);
        let example = data.shape().iter().product::<usize>() as f64;
        Ok(Some(ExpectedMemory {
            fixed: PROGRAM + weights * (PER_WEIGHT + more) + data.len() as f64 * example,
            each: PER_ACTIVATION * config.summarize([height, width]).activations() as f64,
            at_a_time: shards.largest(),
        }))
    }

    fn check_room(&self, network: &AnyConfig, shape: &[usize], memory: f64, on_host: bool) -> Result<(), TrainError> {
        let there = memory::shown(memory);
        let weights = network.num_params();
        let held = PER_WEIGHT * weights as f64;
        let (key, value) = match network {
            AnyConfig::UNet(config) => ("model.channels", format!("{:?}", config.block_out_channels)),
            AnyConfig::Mlp(config) => ("model.hidden", config.hidden_dim.to_string()),
            AnyConfig::Own(config) => ("model.class", config.class_name.clone()),
        };
        let needed = memory::shown(held);
        let smaller =
            format!("smaller: to train {weights} weights takes at least {needed}, and this machine has {there}");
        check(key, value, held <= memory, &smaller)?;

        let example = shape.iter().product::<usize>() as f64;
        let computed = if on_host { activations(network, shape, true) } else { 0.0 };
        let each = FLOAT * (2.0 * example + computed);
        let batch = self.training.batch_size;
        let shards = self.training.cut();
        // One shard at a time, beside the sums of those before it.
        let sums = if on_host { FLOAT * weights as f64 * f64::from(shards.most_sums()) } else { 0.0 };
        let fewer = |most: u64, each: f64| {
            format!("{most} at most: each example takes at least {}, and this machine has {there}", memory::shown(each))
        };
        let room = memory - held;
        let most = ((room - sums) / each).max(1.0) as u64 * shards.count() as u64;
        let mut expected = fewer(most, each);
        if shards.largest() > 1 {
            expected += "; with a larger training.shards it is computed in smaller parts";
        }
        check("training.batch_size", batch, sums + shards.largest() as f64 * each <= room, &expected)?;

        // The samples, and the picture of them.
        let each = FLOAT * 2.0 * example;
        let num = self.samples.num;
        check("samples.num", num, num as f64 * each <= room, &fewer((room / each).max(1.0) as u64, each))
    }
}

#[cfg(test)]
mod tests {
    use sfumato_nets::{mlp::MlpConfig, unet::UNet2DConfig};

    use super::*;

    #[test]
    fn what_asks_for_too_much_is_named() {
        let mut config = TrainConfig::default();
        let unet = AnyConfig::UNet(UNet2DConfig::default());
        let message = |config: &TrainConfig, network: &AnyConfig, shape: &[usize], memory: f64| {
            config.check_room(network, shape, memory, true).unwrap_err().to_string()
        };
        config.check_room(&unet, &[3, 32, 32], 64e9, true).unwrap();
        let said = message(&config, &unet, &[3, 32, 32], 1e9);
        assert!(said.contains("model.channels") && said.contains("this machine has 1.0 GB"), "{said}");
        config.training.batch_size = 1 << 20;
        let said = message(&config, &unet, &[3, 32, 32], 64e9);
        assert!(said.contains("training.batch_size") && said.contains("1048576"), "{said}");
        assert!(said.contains("with a larger training.shards"), "{said}");
        // In shards it has.
        config.training.shards = 1 << 14;
        config.check_room(&unet, &[3, 32, 32], 64e9, true).unwrap();
        config.training.shards = 1;
        // On another device the batch itself has room.
        config.check_room(&unet, &[3, 32, 32], 64e9, false).unwrap();
        config.training.batch_size = 1;
        config.samples.num = 1 << 20;
        let said = message(&config, &AnyConfig::Mlp(MlpConfig::default()), &[65_536], 64e9);
        assert!(said.contains("samples.num"), "{said}");
    }

    #[test]
    fn a_smaller_batch_or_more_shards_take_less() {
        let mut config = TrainConfig::layered(Some("quality"), None, &[]).unwrap();
        let data = sfumato_data::load(&config.data.dataset, &config.data.load_options(0)).unwrap();
        let expected = |config: &TrainConfig| config.expected_memory(&data).unwrap().unwrap();
        let whole = expected(&config);
        // 330 MB were measured for the network and batch of the default preset, without averages.
        assert!((2.5e8..6e8).contains(&whole.bytes()), "{whole:?}");
        config.training.shards = 4;
        let shards = expected(&config);
        assert_eq!((shards.at_a_time, shards.each), (16, whole.each));
        assert!(shards.bytes() < 0.6 * whole.bytes(), "{whole:?} {shards:?}");
        let most = shards.most_at_a_time(1e9).unwrap();
        let of = |at_a_time| ExpectedMemory { at_a_time, ..shards }.bytes();
        assert!(of(most) <= 1e9 && of(most + 1) > 1e9);
        assert_eq!(shards.most_at_a_time(shards.fixed), None);
    }

    #[test]
    fn a_network_that_looks_takes_less_than_one_that_learns() {
        let unet = AnyConfig::UNet(UNet2DConfig::default());
        let less = activations(&unet, &[3, 32, 32], false);
        assert!(0.0 < less && less < activations(&unet, &[3, 32, 32], true));
        assert!(least_to_predict(&unet, &[3, 32, 32], 1 << 30) > 1e12);
    }
}
