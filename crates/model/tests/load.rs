//! Time and memory of loading the published CIFAR-10 model's 35.7 million parameters. A process of its own, so that nothing
//! else takes time.

#[path = "common/formula.rs"]
mod formula;
#[path = "common/memory.rs"]
mod memory;

use std::time::{Duration, Instant};

use burn::backend::{Flex, flex::FlexDevice};
use formula::Formula;
use sfumato_model::params::{FileParams, write_parameters};
use sfumato_nets::unet::{DownBlockType, UNet2DConfig, UpBlockType};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Loads of the same file; the fastest counts, since other work on the machine only ever adds to the time.
const LOADS: usize = 5;

#[test]
fn a_large_model_loads_within_half_a_second_and_takes_little_more_than_its_weights() {
    use DownBlockType::{AttnDownBlock2D, DownBlock2D};
    use UpBlockType::{AttnUpBlock2D, UpBlock2D};
    let config = UNet2DConfig {
        block_out_channels: vec![128, 256, 256, 256],
        down_block_types: vec![DownBlock2D, AttnDownBlock2D, DownBlock2D, DownBlock2D],
        up_block_types: vec![UpBlock2D, UpBlock2D, AttnUpBlock2D, UpBlock2D],
        attention_head_dim: None,
        ..Default::default()
    };
    assert_eq!(config.num_params(), 35_746_307);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    write_parameters(&config.build::<Flex>(&mut Formula, &FlexDevice).unwrap(), &path).unwrap();
    let bytes = 4 * config.num_params() as usize;

    let mut fastest = Duration::MAX;
    for _ in 0..LOADS {
        let start = Instant::now();
        let load = || config.build::<Flex>(&mut FileParams::open(&path).unwrap(), &FlexDevice).unwrap();
        let (net, held) = memory::peak(load);
        fastest = fastest.min(start.elapsed());
        let ratio = held as f64 / bytes as f64;
        assert!((1.0..2.2).contains(&ratio), "{ratio} times the weights' size in memory");
        println!("{:?}, {ratio:.3} times the weights' size in memory", start.elapsed());
        drop(net);
    }
    assert!(fastest < Duration::from_millis(500), "{} MB of weights in {fastest:?}", bytes / 1_000_000);
}
