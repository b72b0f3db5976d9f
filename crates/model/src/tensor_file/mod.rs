//! Weights on disk: read with bounded memory and no trust, written deterministically.
//!
//! [`TensorFile`] is one safetensors file; [`WeightFiles`] are the weights of a model, in whatever files they are.
//!
//! A file is an eight-byte header length, a JSON header that gives each tensor's type, shape and place, and the raw
//! little-endian data. Everything that the header claims is checked against the file's real length before memory is
//! asked for, and tensors are read one at a time.

mod dtype;
mod error;
mod header;
mod reader;
mod shards;
mod weight_files;
mod writer;

pub use dtype::{Dtype, Precision};
pub use error::{HeaderFault, TensorFileError};
pub use header::TensorInfo;
pub use reader::TensorFile;
pub use sfumato_nets::params::NamedTensor;
pub(crate) use shards::numbers as shard_numbers;
pub use weight_files::{StoredWeight, WeightFiles};
pub(crate) use writer::{Layout, write_stream};
pub use writer::{read_tensors, write_tensors};
