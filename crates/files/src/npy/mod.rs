//! NumPy's `.npy` files: numbers of any type are read, `float32` is written.

mod error;
mod header;
mod reader;
#[cfg(test)]
mod tests;
mod types;
mod whole;

pub use error::NpyError;
pub use reader::NpyReader;
pub use types::NpyType;
pub use whole::{read_npy_f32, write_npy_f32};
