//! Data sets: the trait that each implements, and those that come with the program, read in a reproducible order.
//!
//! [`Dataset`] is the trait: length, shape, write example `i` into a slice, label.
//!
//! # Features
//! - `sets` (default): `load` and the data sets below, but for the toys' points, which are always there.
//! - `download` (default): named data sets are fetched where they are not on this machine. Without it, their files have to be given.
//!
//! # Data sets
//!
//! | spec | what | from |
//! | --- | --- | --- |
//! | `fashion-mnist-mini` | first 10,000 training images of Fashion-MNIST, grey 28×28 | inside the program |
//! | `fashion-mnist`, `mnist` | 60,000 + 10,000 grey 28×28 images | IDX files of a directory, the cache, Debian's package, or a download |
//! | `cifar10` | 50,000 + 10,000 RGB 32×32 images | binary batches of a directory or the archive, the cache, or a download |
//! | `folder:PATH` | pictures, sub-folders as classes | a folder |
//! | `zip:FILE.zip` | the same | a zip archive |
//! | `npy:FILE.npy`, `npy:FILE.npz` | pictures or points, labels | a NumPy array or an archive of them |
//! | `toy:NAME` | points in the plane | generated |
//!
//! [`load`] reads a [`DatasetSpec`] into a [`LoadedDataset`]; an [`EpochSampler`] says which example comes when.
//!
//! # Examples
//! ```
//! use sfumato_data::{Dataset, DatasetSpec, EpochSampler, LoadOptions, load};
//!
//! let spec: DatasetSpec = "fashion-mnist-mini".parse()?;
//! let data = load(&spec, &LoadOptions::default())?;
//! assert_eq!((data.len(), data.shape()), (10_000, &[1, 28, 28][..]));
//!
//! let sampler = EpochSampler::new(0, data.len());
//! let mut batch = vec![0.0; 4 * data.example_len()];
//! for (draw, out) in batch.chunks_mut(data.example_len()).enumerate() {
//!     data.write(sampler.index(draw as u64), out);
//! }
//! assert!(batch.iter().all(|x| (-1.0..=1.0).contains(x)));
//! # Ok::<(), sfumato_data::DataError>(())
//! ```

#![forbid(unsafe_code)]

#[cfg(all(test, feature = "sets"))]
mod array_tests;
#[cfg(feature = "sets")]
mod arrays;
mod background;
#[cfg(feature = "sets")]
mod cache;
#[cfg(feature = "sets")]
mod cifar10;
#[cfg(all(test, feature = "sets"))]
mod class_tests;
#[cfg(feature = "sets")]
mod classes;
mod content;
mod dataset;
#[cfg(feature = "sets")]
mod decode;
#[cfg(all(test, feature = "sets"))]
mod decode_tests;
mod error;
#[cfg(feature = "sets")]
mod fetch;
#[cfg(feature = "sets")]
mod fit;
#[cfg(feature = "sets")]
mod folder;
#[cfg(all(test, feature = "sets"))]
mod folder_tests;
#[cfg(feature = "sets")]
mod guard;
#[cfg(feature = "sets")]
mod idx;
mod image_size;
#[cfg(feature = "sets")]
mod jpeg;
#[cfg(feature = "sets")]
mod jpeg_bits;
#[cfg(feature = "sets")]
mod jpeg_scan;
#[cfg(feature = "sets")]
mod jpeg_segment;
#[cfg(all(test, feature = "sets"))]
mod jpeg_tests;
mod kept;
#[cfg(feature = "sets")]
mod kind;
#[cfg(feature = "sets")]
mod label_file;
mod labels_from;
#[cfg(feature = "sets")]
mod listing;
#[cfg(feature = "sets")]
mod load;
mod loaded;
#[cfg(feature = "sets")]
mod mnist;
#[cfg(feature = "sets")]
mod mnist_files;
#[cfg(feature = "sets")]
mod npy;
#[cfg(all(test, feature = "sets"))]
mod npy_tests;
#[cfg(feature = "sets")]
mod npz;
mod options;
#[cfg(feature = "sets")]
mod passes;
#[cfg(feature = "sets")]
mod pictures;
#[cfg(feature = "sets")]
mod png;
#[cfg(all(test, feature = "sets"))]
mod png_tests;
mod resizing;
mod sampler;
#[cfg(feature = "sets")]
mod scan;
mod selection;
mod spec;
#[cfg(feature = "sets")]
mod split;
#[cfg(all(test, feature = "sets"))]
mod split_tests;
#[cfg(feature = "sets")]
mod store;
#[cfg(feature = "sets")]
mod tiff_tag;
mod toy;
mod value_range;
#[cfg(all(test, feature = "sets"))]
mod zoo_tests;

pub use background::Background;
#[cfg(feature = "sets")]
pub use cache::cache_dir;
pub use dataset::{Dataset, mirror};
pub use error::DataError;
pub use image_size::ImageSize;
pub use labels_from::LabelsFrom;
#[cfg(feature = "sets")]
pub use load::load;
pub use loaded::{LoadedDataset, Skipped, Values};
pub use options::{LoadOptions, Part, Split};
#[cfg(feature = "sets")]
pub use pictures::load_pictures;
pub use resizing::Resizing;
pub use sampler::{EpochSampler, Subset};
pub use selection::Selection;
pub use spec::{DATASET_FORMS, DatasetSpec, Toy};
pub use toy::toy_point;
pub use value_range::ValueRange;
