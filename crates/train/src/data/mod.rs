//! Data sets: real images and toys, loaded into memory and read in a reproducible order.
//!
//! | spec | what | from |
//! | --- | --- | --- |
//! | `fashion-mnist-mini` | first 10,000 training images of Fashion-MNIST, grey 28×28 | inside the program |
//! | `fashion-mnist`, `mnist` | 60,000 + 10,000 grey 28×28 images | IDX files of a directory, the cache, Debian's package, or a download |
//! | `cifar10` | 50,000 + 10,000 RGB 32×32 images | binary batches of a directory or the archive, the cache, or a download |
//! | `folder:PATH` | PNG and JPEG files, sub-folders as classes | a folder |
//! | `npy:FILE.npy` | pictures or points | a NumPy array |
//! | `toy:NAME` | points in the plane | generated |
//!
//! [`load`] reads a [`DatasetSpec`] into a [`Dataset`]; an [`EpochSampler`] says which example comes when.
//!
//! # Examples
//! ```
//! use sfumato_train::data::{Dataset, DatasetSpec, EpochSampler, LoadOptions, load};
//!
//! let spec: DatasetSpec = "fashion-mnist-mini".parse()?;
//! let data = load(&spec, &LoadOptions::default())?;
//! assert_eq!((data.len(), data.shape()), (10_000, &[1, 28, 28][..]));
//!
//! let sampler = EpochSampler::new(0, data.len());
//! let mut batch = vec![0.0; 4 * data.example_len()];
//! for (draw, out) in batch.chunks_mut(data.example_len()).enumerate() {
//!     data.write_example(sampler.index(draw as u64), sampler.flip(draw as u64), out);
//! }
//! assert!(batch.iter().all(|x| (-1.0..=1.0).contains(x)));
//! # Ok::<(), sfumato_train::data::DataError>(())
//! ```

mod cache;
mod cifar10;
mod dataset;
mod decode;
mod error;
mod fetch;
mod fit;
mod folder;
#[cfg(test)]
mod folder_tests;
mod idx;
mod mnist;
mod mnist_files;
mod npy;
mod options;
mod sampler;
mod scan;
mod spec;
mod toy;

pub use cache::cache_dir;
pub(crate) use dataset::hex;
pub use dataset::{Dataset, Skipped, Values};
pub use error::DataError;
pub use options::{LoadOptions, Split};
pub use sampler::EpochSampler;
pub use spec::{DATASET_FORMS, DatasetSpec, Toy};
pub use toy::toy_point;

/// Loads a data set into memory.
///
/// # Sizes and channels
/// `image_size` and `channels` of the options bring pictures to one shape. A smaller size resizes the largest centred
/// square with a Lanczos filter; a larger one does so too, except that MNIST and its relatives get a black border
/// instead, so that their pixels stay the published ones (28 to 32: two pixels on each side). Grey to RGB repeats the
/// channel; RGB to grey takes the luma of BT.709.
///
/// `folder:` without an `image_size` keeps the size that all pictures share if they are squares of one size, else makes
/// 64×64 and says so in [`Dataset::notes`]; without `channels` it is grey if every pixel of every picture is grey. Exif
/// orientation is obeyed, transparency is laid on white, 16-bit values are rounded to 8.
///
/// # Errors
/// [`DataError`]: a missing, damaged or unsuitable file, a failed download, options that do not fit the data set.
pub fn load(spec: &DatasetSpec, options: &LoadOptions) -> Result<Dataset, DataError> {
    match spec {
        DatasetSpec::FashionMnistMini => mnist::load_mini(options),
        DatasetSpec::FashionMnist => mnist::load_fashion(options),
        DatasetSpec::Mnist => mnist::load_mnist(options),
        DatasetSpec::Cifar10 => cifar10::load(options),
        DatasetSpec::Folder(path) => folder::load(path, options),
        DatasetSpec::Npy(path) => npy::load(path, options),
        DatasetSpec::Toy(toy) => toy::load(*toy, options),
    }
}
