//! What can be wrong with a file of `torch.save`.

use std::{io, path::PathBuf};

use crate::disguise::WrongFile;

/// Why a file of `torch.save` could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchFileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is something other than a checkpoint.
    #[error(transparent)]
    Wrong(#[from] WrongFile),
    /// The file ends before its last tensor does.
    #[error("{} is truncated: {len} of {expected} bytes are there; download or copy it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The length that it should have.
        expected: u64,
    },
    /// The file is neither of the two containers.
    #[error("{} is not a file of torch.save: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        reason: &'static str,
    },
    /// The zip archive is damaged.
    #[error("{} is a damaged zip archive: {fault}", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: ZipFault,
    },
    /// The pickle is damaged or does more than describe tensors.
    #[error("the pickle in {} cannot be read: {fault}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: PickleFault,
    },
    /// The file holds something other than a dictionary of tensors.
    #[error("{} does not hold a state dict: {found}, expected a dictionary from names to tensors", path.display())]
    NotAStateDict {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// A tensor claims numbers that its storage or the file does not have.
    #[error("tensor `{tensor}` in {}: {reason}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
}

/// What is wrong with a zip archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipFault {
    /// No end-of-directory record.
    #[error("its {len} bytes have no directory at the end (it is truncated; download or copy it again)")]
    NoDirectory {
        /// Length of the file.
        len: u64,
    },
    /// The same, where the first entry says how much there should be.
    #[error("it is truncated: {len} of at least {expected} bytes are there; download or copy it again")]
    Truncated {
        /// Length of the file.
        len: u64,
        /// Length of its numbers.
        expected: u64,
    },
    /// The directory or an entry lies outside the file.
    #[error("{what} is at bytes {begin}..{end}, but the file has {len}")]
    Outside {
        /// The directory, or the entry's name.
        what: String,
        /// First byte claimed.
        begin: u64,
        /// One past the last byte claimed.
        end: u64,
        /// Length of the file.
        len: u64,
    },
    /// The directory is longer than that of any checkpoint.
    #[error("its directory claims {bytes} bytes, expected at most {limit}")]
    LongDirectory {
        /// Length claimed.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A record does not start with its signature, or ends early.
    #[error("the record of {what} is malformed")]
    Record {
        /// The directory, or the entry's name.
        what: String,
    },
    /// Two entries have one name.
    #[error("`{name}` occurs twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// An entry is compressed or encrypted, which torch never does.
    #[error("`{name}` is compressed or encrypted, torch only stores")]
    NotStored {
        /// The name.
        name: String,
    },
    /// An entry that every checkpoint has is not there.
    #[error("it has no entry `{name}`")]
    Missing {
        /// The name.
        name: String,
    },
}

/// What is wrong with a pickle.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleFault {
    /// It ends in the middle of an instruction.
    #[error("it ends at byte {at} in the middle of an instruction (it is truncated or damaged)")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// An instruction that no dictionary of tensors needs.
    #[error("byte {at} is instruction 0x{opcode:02x}, which no dictionary of tensors needs")]
    Instruction {
        /// Where.
        at: usize,
        /// The instruction.
        opcode: u8,
    },
    /// An instruction finds the wrong things on the stack.
    #[error("the instruction at byte {at} expects {expected}")]
    Operand {
        /// Where.
        at: usize,
        /// What it expects.
        expected: &'static str,
    },
    /// It calls a function that is no part of a tensor.
    #[error(
        "it calls {name}, which is refused: only tensors, dictionaries and plain values are read (of a model that was saved whole, save the state_dict)"
    )]
    Call {
        /// The function.
        name: String,
    },
    /// It is larger than the pickle of any checkpoint.
    #[error("it has more than {limit} {what}")]
    TooLarge {
        /// "bytes" or "values".
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// What stands for a storage or a tensor is malformed.
    #[error("{what} is malformed")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
}
