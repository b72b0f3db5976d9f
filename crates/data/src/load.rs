//! From a specification to a data set in memory.

use super::{
    Background, DataError, DatasetSpec, LabelsFrom, LoadOptions, LoadedDataset, arrays, cifar10, folder, mnist, toy,
};

/// Loads a data set into memory.
///
/// # Sizes and channels
/// `image_size` and `channels` of the options bring pictures to one shape. The largest centred part of the wanted shape is
/// resized with a Lanczos filter; only MNIST and its relatives get a black border instead where the wanted size is larger, so
/// that their pixels stay the published ones (28 to 32: two pixels on each side). [`LoadedDataset::resizing`] says what was done.
/// Grey to RGB repeats the channel; RGB to grey takes the luma of BT.709.
///
/// `folder:` and `zip:` without an `image_size` keep the size that all pictures share, else make 64×64 and say so in
/// [`LoadedDataset::notes`]; without `channels` they are grey if every pixel of every picture is grey. PNG, JPEG, WebP, BMP, TIFF and
/// GIF (the first frame) are told by their content, not by their names. Exif orientation is obeyed, transparency is laid on
/// `background`, 16-bit values are rounded to 8.
///
/// # Splits and classes
/// Folders called `train` (or `training`), `test` (`testing`) and `val` (`valid`, `validation`, `dev`, `eval`) are splits.
/// [`Split::Test`](super::Split::Test) takes the test folder, or else the validation folder. Below them every sub-folder is a class, unless
/// `labels` says otherwise or a file of labels lies there (`labels.csv`, `dataset.json`). Classes are numbered in the order of
/// their names: by value if all are numbers, else as text.
///
/// # Errors
/// [`DataError`]: a missing, damaged or unsuitable file, a failed download, options that do not fit the data set.
pub fn load(spec: &DatasetSpec, options: &LoadOptions) -> Result<LoadedDataset, DataError> {
    check_options(spec, options)?;
    match spec {
        DatasetSpec::FashionMnistMini => mnist::load_mini(options),
        DatasetSpec::FashionMnist => mnist::load_fashion(options),
        DatasetSpec::Mnist => mnist::load_mnist(options),
        DatasetSpec::Cifar10 => cifar10::load(options),
        DatasetSpec::Folder(path) => folder::load(path, options),
        DatasetSpec::Zip(path) => folder::load_zip(path, options),
        DatasetSpec::Npy(path) => arrays::load(path, options),
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
