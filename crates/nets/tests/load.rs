//! Time and memory of loading the published CIFAR-10 model's 35.7 million parameters. A process of its own, so that nothing
//! else allocates.

use std::{fs::File, io::Write, time::Instant};

use burn::backend::{Flex, flex::FlexDevice};
use serde_json::{Map, json};
use sfumato_nets::{
    params::{FileParams, Init, ParamSource},
    unet::{DownBlockType, UNet2DConfig, UpBlockType},
};

/// Writes down what the network asks for and has nothing to give.
#[derive(Default)]
struct Record(Vec<(String, Vec<usize>)>);

impl ParamSource for Record {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.0.push((name.into(), shape.into()));
        Vec::new()
    }
}

/// Peak resident memory of this process in bytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}

#[test]
fn a_large_model_loads_fast_and_takes_little_more_than_its_weights() {
    use DownBlockType::{AttnDownBlock2D, DownBlock2D};
    use UpBlockType::{AttnUpBlock2D, UpBlock2D};
    let config = UNet2DConfig {
        block_out_channels: vec![128, 256, 256, 256],
        down_block_types: vec![DownBlock2D, AttnDownBlock2D, DownBlock2D, DownBlock2D],
        up_block_types: vec![UpBlock2D, UpBlock2D, AttnUpBlock2D, UpBlock2D],
        attention_head_dim: None,
        ..Default::default()
    };
    let mut record = Record::default();
    config.build::<Flex>(&mut record, &FlexDevice).unwrap();

    // All zeros: the file is sparse, reading and converting it is not.
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in record.0 {
        let begin = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();

    let (before, start) = (peak(), Instant::now());
    let net = config.build::<Flex>(&mut FileParams::open(&path).unwrap(), &FlexDevice).unwrap();
    let elapsed = start.elapsed();
    println!("{} MB of weights in {elapsed:?}", end / 1_000_000);
    // Half a second on an idle machine; the bound is for a busy one.
    assert!(elapsed.as_secs_f64() < 5.0, "{elapsed:?}");
    if let (Some(before), Some(after)) = (before, peak()) {
        let ratio = (after - before) as f64 / end as f64;
        println!("{ratio:.3} times the weights' size in memory");
        assert!((0.9..2.2).contains(&ratio), "{ratio}");
    }
    drop(net);
}
