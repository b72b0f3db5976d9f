//! The files of Fashion-MNIST and MNIST as published, and where copies of them lie.

use std::path::{Path, PathBuf};

use super::Split;
use super::fetch::Published;

/// The images and the labels of one split, as published.
pub(super) struct Files {
    pub(super) images: Published<'static>,
    pub(super) labels: Published<'static>,
    /// SHA-256 of the two uncompressed files, where known: other packagings compress them anew.
    pub(super) content: Option<[&'static str; 2]>,
}

/// Where Debian's package `dataset-fashion-mnist` puts its files.
pub(super) const FASHION_DEBIAN: &str = "/usr/share/datasets/fashion-mnist";

const FASHION_HOSTS: &[&str] = &[
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
];

const MNIST_HOSTS: &[&str] =
    &["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"];

/// Names of the four files without `.gz`, with the spelling of some copies of them.
const SPELLINGS: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
];

/// Fashion-MNIST.
pub(super) fn fashion(split: Split) -> Files {
    // Lengths and MD5 from the authors' README.
    let file = |file, bytes, md5| Published { dataset: "fashion-mnist", file, bytes, md5, hosts: FASHION_HOSTS };
    match split {
        Split::Train => Files {
            images: file("train-images-idx3-ubyte.gz", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            labels: file("train-labels-idx1-ubyte.gz", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            content: Some([
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ]),
        },
        Split::Test => Files {
            images: file("t10k-images-idx3-ubyte.gz", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            labels: file("t10k-labels-idx1-ubyte.gz", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
            content: Some([
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ]),
        },
    }
}

/// MNIST, with the lengths and MD5 that the mirrors of its authors state.
pub(super) fn mnist(split: Split) -> Files {
    let file = |file, bytes, md5| Published { dataset: "mnist", file, bytes, md5, hosts: MNIST_HOSTS };
    let (images, labels) = match split {
        Split::Train => (
            file("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            file("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
        ),
        Split::Test => (
            file("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            file("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    };
    Files { images, labels, content: None }
}

/// A published file below `directory`, in the spellings and layouts in use.
pub(super) fn find(directory: &Path, file: &Published) -> Option<PathBuf> {
    let name = file.file.trim_end_matches(".gz");
    let (name, other) = SPELLINGS.into_iter().find(|(usual, _)| *usual == name)?;
    // The folder itself, then the layout of torchvision, where both sets may lie side by side.
    let torchvision = if file.dataset == "mnist" { "MNIST/raw" } else { "FashionMNIST/raw" };
    let folders = ["", "raw", torchvision, file.dataset];
    let names = [format!("{name}.gz"), name.to_owned(), format!("{other}.gz"), other.to_owned()];
    folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| directory.join(folder).join(name)))
        .find(|path| path.is_file())
}
