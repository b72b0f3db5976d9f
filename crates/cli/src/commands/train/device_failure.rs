//! What is said of a device that fails in the middle of a training, or of a machine whose memory is not enough.

use std::path::Path;

use sfumato_train::config::TrainingConfig;

use crate::backend_name::BackendName;

/// Words of drivers, of CubeCL and of our own kernels for memory that is not there, in small letters.
const NO_MEMORY: [&str; 8] = [
    "out of memory",
    "out-of-memory",
    "outofmemory",
    "out_of_memory",
    "not enough memory",
    "buffertoobig",
    "can't allocate",
    "more than any memory holds",
];

/// Whether somebody who panics with these words had too little memory.
pub(super) fn is_memory(reason: &str) -> bool {
    let words = reason.to_lowercase();
    NO_MEMORY.iter().any(|no_memory| words.contains(no_memory))
}

/// The error, with what takes less memory if that was the reason.
pub(super) fn error(backend: BackendName, training: &TrainingConfig, run: &Path, reason: &str) -> anyhow::Error {
    let way_out = if is_memory(reason) {
        let (fewer, more) = ((training.batch_size / 2).max(1), 2 * training.shards);
        format!("--batch-size {fewer}, or --shards {more} with the same batch, takes about half as much")
    } else {
        format!("what was written before is in {}", run.display())
    };
    anyhow::anyhow!("the backend {backend} failed: {reason}; {way_out}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_names_a_smaller_batch() {
        let training = TrainingConfig { batch_size: 128, shards: 2, ..TrainingConfig::default() };
        let said = |reason: &str| error(BackendName::Cuda, &training, Path::new("runs/a"), reason).to_string();
        for reason in [
            "CUDA_ERROR_OUT_OF_MEMORY",
            "called on Err: OutOfMemory { size: 12 }",
            "BufferTooBig(1024)",
            "a result of 8 values is more than any memory holds",
        ] {
            let said = said(reason);
            assert!(said.contains("--batch-size 64") && said.contains("--shards 4") && said.contains(reason), "{said}");
        }
        let said = said("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access");
        assert!(said.contains("runs/a") && !said.contains("--batch-size"), "{said}");
    }
}
