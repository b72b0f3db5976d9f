//! Files of `torch.save`: tensors by name, read without executing anything.
//!
//! A pickle is a program for a stack machine that may call any Python function. The machine here knows the few
//! instructions that a dictionary of tensors consists of and four functions, which it understands instead of calling;
//! anything else is an error that names it. What the file claims (lengths, offsets, shapes) is checked against its real
//! size before memory is asked for.
//!
//! Both containers are read: the zip archive of torch 1.6 and later (`data.pkl` beside one stored entry for each storage),
//! and the plain stream of pickles and storages from before. Tar archives of torch before 0.1.10 are refused.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `pickle`, `value` | the stack machine and what it leaves |
//! | `tensors` | from values to tensors and storages |
//! | `zip`, `legacy` | the two containers |
//! | `file` | [`TorchFile`] |

mod error;
mod file;
mod legacy;
mod pickle;
mod tensors;
mod value;
mod zip;

pub use error::{PickleFault, TorchFileError, ZipFault};
pub use file::TorchFile;
pub use tensors::StoredTensor;
