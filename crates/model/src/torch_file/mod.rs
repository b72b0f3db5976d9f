//! Files of `torch.save`: tensors by name, read without executing anything.
//!
//! A pickle is a program for a stack machine that may call any Python function. The machine here knows the few
//! instructions that checkpoints consist of and a few functions, which it understands instead of calling; objects of some harmless
//! classes (settings, random states) are passed over unmade. Anything else is an error that names it. A dictionary of tensors that
//! a training program keeps among other things is found. What the file claims (lengths, offsets, shapes) is checked against its real
//! size before memory is asked for.
//!
//! Both containers are read: the zip archive of torch 1.6 and later (`data.pkl` beside one stored entry for each storage),
//! and the plain stream of pickles and storages from before. Tar archives of torch before 0.1.10 are refused.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `pickle`, `value` | the stack machine and what it leaves |
//! | `calls` | the functions and classes that a pickle names |
//! | `nest` | where in a checkpoint the dictionary of tensors is |
//! | `tensors` | from values to tensors and storages |
//! | `zip`, `legacy` | the two containers |
//! | `file` | [`TorchFile`] |

mod calls;
mod error;
mod file;
mod legacy;
mod nest;
mod pickle;
mod tensors;
mod value;
mod zip;

pub use error::{PickleFault, TorchFileError, ZipFault};
pub use file::TorchFile;
pub(crate) use file::{EXPECTED, is_torch};
pub use tensors::StoredTensor;
