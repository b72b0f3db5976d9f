//! Data sets: real images and toys, loaded into memory and read in a reproducible order.
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

#[cfg(test)]
mod array_tests;
mod background;
mod cache;
mod cifar10;
#[cfg(test)]
mod class_tests;
mod classes;
mod dataset;
mod decode;
mod error;
mod fetch;
mod fit;
mod folder;
#[cfg(test)]
mod folder_tests;
mod guard;
mod idx;
mod image_size;
mod jpeg;
mod jpeg_bits;
mod jpeg_scan;
#[cfg(test)]
mod jpeg_tests;
mod kind;
mod label_file;
mod labels_from;
mod listing;
mod mnist;
mod mnist_files;
mod npy;
#[cfg(test)]
mod npy_tests;
mod npz;
mod options;
mod passes;
mod png;
#[cfg(test)]
mod png_tests;
mod resizing;
mod sampler;
mod scan;
mod spec;
mod split;
#[cfg(test)]
mod split_tests;
mod store;
mod toy;
mod value_range;
#[cfg(test)]
mod zoo_tests;

pub use background::Background;
pub use cache::cache_dir;
pub(crate) use dataset::hex;
pub use dataset::{Dataset, Skipped, Values};
pub use error::DataError;
pub use image_size::ImageSize;
pub use labels_from::LabelsFrom;
pub use options::{LoadOptions, Part, Split};
pub use resizing::Resizing;
pub use sampler::{EpochSampler, Subset};
pub use spec::{DATASET_FORMS, DatasetSpec, Toy};
pub use toy::toy_point;
pub use value_range::ValueRange;

/// Loads a data set into memory.
///
/// # Sizes and channels
/// `image_size` and `channels` of the options bring pictures to one shape. The largest centred part of the wanted shape is
/// resized with a Lanczos filter; only MNIST and its relatives get a black border instead where the wanted size is larger, so
/// that their pixels stay the published ones (28 to 32: two pixels on each side). [`Dataset::resizing`] says what was done.
/// Grey to RGB repeats the channel; RGB to grey takes the luma of BT.709.
///
/// `folder:` and `zip:` without an `image_size` keep the size that all pictures share, else make 64×64 and say so in
/// [`Dataset::notes`]; without `channels` they are grey if every pixel of every picture is grey. PNG, JPEG, WebP, BMP, TIFF and
/// GIF (the first frame) are told by their content, not by their names. Exif orientation is obeyed, transparency is laid on
/// `background`, 16-bit values are rounded to 8.
///
/// # Splits and classes
/// Folders called `train` (or `training`), `test` (`testing`) and `val` (`valid`, `validation`, `dev`, `eval`) are splits.
/// [`Split::Test`] takes the test folder, or else the validation folder. Below them every sub-folder is a class, unless
/// `labels` says otherwise or a file of labels lies there (`labels.csv`, `dataset.json`). Classes are numbered in the order of
/// their names: by value if all are numbers, else as text.
///
/// # Errors
/// [`DataError`]: a missing, damaged or unsuitable file, a failed download, options that do not fit the data set.
pub fn load(spec: &DatasetSpec, options: &LoadOptions) -> Result<Dataset, DataError> {
    check_options(spec, options)?;
    match spec {
        DatasetSpec::FashionMnistMini => mnist::load_mini(options),
        DatasetSpec::FashionMnist => mnist::load_fashion(options),
        DatasetSpec::Mnist => mnist::load_mnist(options),
        DatasetSpec::Cifar10 => cifar10::load(options),
        DatasetSpec::Folder(path) => folder::load(path, options),
        DatasetSpec::Zip(path) => folder::load_zip(path, options),
        DatasetSpec::Npy(path) => npy::load(path, options),
        DatasetSpec::Toy(toy) => toy::load(*toy, options),
    }
}

/// Refuses options that mean nothing for a data set, before they are silently without effect.
fn check_options(spec: &DatasetSpec, options: &LoadOptions) -> Result<(), DataError> {
    let unfit = |option, reason| Err(DataError::Option { option, dataset: spec.to_string(), reason });
    let pictures = matches!(spec, DatasetSpec::Folder(_) | DatasetSpec::Zip(_));
    let array = matches!(spec, DatasetSpec::Npy(_));
    if options.background != Background::default() && !pictures {
        return unfit("--background", "only the pictures of a folder or an archive can be transparent");
    }
    if options.range.is_some() && !array {
        return unfit("--range", "only the numbers of an array can lie in any range");
    }
    match options.labels {
        LabelsFrom::Auto => Ok(()),
        LabelsFrom::None if pictures || array => Ok(()),
        LabelsFrom::Folders | LabelsFrom::FileNames if pictures => Ok(()),
        _ => unfit("--labels", "only a folder or an archive leaves open where its labels come from"),
    }
}
