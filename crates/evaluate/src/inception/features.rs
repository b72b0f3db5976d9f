//! The features that the FID of papers is measured in.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use sfumato_kernels::Backend;
use sfumato_model::{
    params::{FileParams, WeightsMismatch},
    tensor_file::TensorFileError,
};
use sfumato_nets::{
    NetError, SourceError,
    params::{Init, ParamSource},
};

use super::{INCEPTION_SIDE, Inception, to_inception};
use crate::features::{FeatureError, Features};

/// Features of a picture.
pub const INCEPTION_FEATURES: usize = 2048;

/// Why there are no features of Inception.
#[derive(Debug, thiserror::Error)]
pub enum InceptionError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The file's checksum cannot be computed.
    #[error("cannot read {}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds another network.
    #[error(
        "{} does not hold Inception-v3 as pytorch-fid has it (its file is called pt_inception-2015-12-05-6726825d.pth)",
        path.display()
    )]
    Weights {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: NetError,
    },
}

/// Inception-v3 with the weights of a user's file.
#[derive(Debug)]
pub struct InceptionFeatures<B: Backend> {
    net: Inception<B>,
    sha256: String,
    device: B::Device,
}

impl<B: Backend> InceptionFeatures<B> {
    /// Reads the weights from a file of `torch.save`, or from a safetensors file with the same names.
    ///
    /// # Errors
    /// [`InceptionError`] that names the file.
    pub fn open(path: &Path, device: &B::Device) -> Result<Self, InceptionError> {
        let net = Inception::build(&mut Weights(FileParams::open(path)?), device)
            .map_err(|source| InceptionError::Weights { path: path.into(), source })?;
        let sha256 = sfumato_files::file_sha256(path)
            .map_err(|source| InceptionError::Checksum { path: path.into(), source })?;
        Ok(Self { net, sha256, device: device.clone() })
    }
}

/// The tensors of a file, of which those after the last pooling are not used.
struct Weights(FileParams);

impl ParamSource for Weights {
    fn values(&mut self, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
        self.0.values(name, shape, init)
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        let Err(error) = self.0.finish() else { return Ok(()) };
        let unused = |name: &String| {
            name.starts_with("fc.") || name.starts_with("AuxLogits.") || name.ends_with(".num_batches_tracked")
        };
        match error.downcast_ref::<WeightsMismatch>() {
            Some(mismatch) => {
                let mut mismatch = mismatch.clone();
                mismatch.unexpected.retain(|name| !unused(name));
                if mismatch.is_empty() { Ok(()) } else { Err(mismatch.into()) }
            }
            None => Err(error),
        }
    }
}

impl<B: Backend> Features for InceptionFeatures<B> {
    fn name(&self) -> &str {
        "inception-v3 of pytorch-fid"
    }

    fn sha256(&self) -> &str {
        &self.sha256
    }

    fn dims(&self) -> usize {
        INCEPTION_FEATURES
    }

    fn batch_size(&self) -> usize {
        16
    }

    fn check(&self, shape: &[usize]) -> Result<(), FeatureError> {
        if matches!(shape, [1 | 3, height, width] if height * width > 0) {
            return Ok(());
        }
        Err(FeatureError::Shape {
            features: self.name().to_owned(),
            wanted: "grey or RGB pixels",
            found: shape.to_vec(),
            way_out: "points have no such features",
        })
    }

    fn see(&self, values: Vec<f32>, shape: [usize; 3]) -> (Vec<f32>, Vec<usize>) {
        let pictures = values.chunks_exact(shape.iter().product());
        let count = pictures.len();
        let resized: Vec<f32> = pictures.flat_map(|picture| to_inception(picture, shape)).collect();
        let data = TensorData::new(resized, [count, 3, INCEPTION_SIDE, INCEPTION_SIDE]);
        let features = self.net.features(Tensor::from_data(data, &self.device));
        (features.into_data().convert::<f32>().into_vec().expect("the data was just converted to f32"), Vec::new())
    }
}
