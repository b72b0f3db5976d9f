//! A small network, its weights, and directories to put them in.
#![allow(dead_code)] // each test binary uses its part

#[path = "torch_writer.rs"]
pub(crate) mod torch_writer;

use std::{fs, path::Path};

use burn::backend::{Flex, flex::FlexDevice};
use sfumato_model::{
    params::FileParams,
    pipeline::{AnyConfig, Facts, PipelineSpec, Scheduler, WEIGHTS_FILE},
    tensor_file::NamedTensor,
};
use sfumato_nets::{
    params::{RandomParams, named_parameters},
    unet::{DownBlockType, UNet2DConfig, UpBlockType},
};
use tempfile::{TempDir, tempdir};

pub(crate) fn config() -> UNet2DConfig {
    UNet2DConfig {
        block_out_channels: vec![4, 8],
        down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
        up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
        layers_per_block: 1,
        norm_num_groups: 2,
        ..Default::default()
    }
}

/// The tensors of a network from a seed.
pub(crate) fn tensors(seed: u64) -> Vec<NamedTensor> {
    let net = config().build::<Flex>(&mut RandomParams::new(seed).without_zero_init(), &FlexDevice).unwrap();
    named_parameters(&net)
}

/// A pipeline directory without weights.
pub(crate) fn empty() -> TempDir {
    let dir = tempdir().unwrap();
    let spec =
        PipelineSpec { config: AnyConfig::UNet(config()), scheduler: Scheduler::default(), facts: Facts::default() };
    spec.write_tensors(dir.path(), &[]).unwrap();
    fs::remove_file(dir.path().join("unet").join(WEIGHTS_FILE)).unwrap();
    dir
}

pub(crate) fn for_torch(tensors: &[NamedTensor]) -> Vec<torch_writer::Tensor> {
    tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone(), tensor.values.clone())).collect()
}

pub(crate) fn pickled(tensors: &[NamedTensor], old: bool) -> Vec<u8> {
    torch_writer::checkpoint(&for_torch(tensors), old)
}

pub(crate) fn load(path: &Path) -> Result<Vec<NamedTensor>, String> {
    let mut params = FileParams::open(path).map_err(|error| error.to_string())?;
    let net = config().build::<Flex>(&mut params, &FlexDevice).map_err(|error| error.to_string())?;
    Ok(named_parameters(&net))
}
