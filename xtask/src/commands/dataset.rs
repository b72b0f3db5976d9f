//! `cargo xtask dataset fashion-mnist-mini`: the embedded data, made again from its sources to the byte.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use super::{Usage, option_value};
use crate::cargo;
use crate::checksum::sha256;

/// Where Debian's package `dataset-fashion-mnist` puts its files.
const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";
/// Images and labels that are kept.
const COUNT: usize = 10_000;

/// One file of the published set and what becomes of it.
struct Part {
    source: &'static str,
    /// SHA-256 of the uncompressed source: packagings differ in how they compress.
    source_sha256: &'static str,
    /// Bytes of the IDX header, whose second word is the count.
    header: usize,
    /// Bytes of one item.
    item: usize,
    target: &'static str,
    /// SHA-256 of the uncompressed result.
    content_sha256: &'static str,
    /// SHA-256 of the file as it is checked in.
    target_sha256: &'static str,
}

const PARTS: [Part; 2] = [
    Part {
        source: "train-images-idx3-ubyte",
        source_sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        header: 16,
        item: 28 * 28,
        target: "images-idx3-ubyte.gz",
        content_sha256: "ed2e37ed5a3a57d212141a69fe0a0de5a7126ffba14ac3f7e76f5f52cc04b1f0",
        target_sha256: "c70bae6efc2eb3bc5e2987fadf3ad7538e830e9a31c46623ee127c44ff232e61",
    },
    Part {
        source: "train-labels-idx1-ubyte",
        source_sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        header: 8,
        item: 1,
        target: "labels-idx1-ubyte.gz",
        content_sha256: "a69f2dad024ca220a8c4d85f621fdf929042d40c444abde2868903e9220ad517",
        target_sha256: "2b75810e5bffaecb25a8c0bff223f751ed84e31e7664b29ac24ee0d94fb52be5",
    },
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (mut name, mut from, mut check) = (None, PathBuf::from(DEBIAN), false);
    let mut rest = arguments.iter().cloned();
    while let Some(argument) = rest.next() {
        if let Some(directory) = option_value(&argument, "--from", &mut rest)? {
            from = directory.into();
        } else if argument == "--check" {
            check = true;
        } else if name.is_none() && !argument.starts_with('-') {
            name = Some(argument);
        } else {
            return Err(Usage(format!("unexpected argument `{argument}`")).into());
        }
    }
    match name.as_deref() {
        Some("fashion-mnist-mini") => {}
        Some(other) => return Err(Usage(format!("unknown data set `{other}`, expected fashion-mnist-mini")).into()),
        None => return Err(Usage("which data set? expected: cargo xtask dataset fashion-mnist-mini".into()).into()),
    }
    let folder = cargo::root().join("crates/data/data/fashion-mnist-mini");
    for part in &PARTS {
        let target = folder.join(part.target);
        let bytes = make(part, &from)?;
        if check {
            let present = fs::read(&target).with_context(|| format!("cannot read {}", target.display()))?;
            ensure!(present == bytes, "{} is not what its source gives", target.display());
            println!("{}: {} bytes, as its source gives", target.display(), bytes.len());
        } else {
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            fs::write(&target, &bytes).with_context(|| format!("cannot write {}", target.display()))?;
            println!("{}: {} bytes", target.display(), bytes.len());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of one file of the mini set, every step verified.
fn make(part: &Part, from: &Path) -> anyhow::Result<Vec<u8>> {
    let source = [format!("{}.gz", part.source), part.source.to_owned()]
        .into_iter()
        .map(|name| from.join(name))
        .find(|path| path.is_file());
    let Some(source) = source else {
        bail!(
            "{} is not in {} (with or without .gz): install Debian's package dataset-fashion-mnist, \
             or give the directory with --from",
            part.source,
            from.display()
        );
    };
    let bytes = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let content = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut content = Vec::new();
        GzDecoder::new(&bytes[..])
            .read_to_end(&mut content)
            .with_context(|| format!("cannot decompress {}", source.display()))?;
        content
    } else {
        bytes
    };
    verify(&format!("the content of {}", source.display()), &content, part.source_sha256)?;
    let content = first(&content, part);
    verify(&format!("the content of {}", part.target), &content, part.content_sha256)?;
    let bytes = compress(&content)?;
    verify(part.target, &bytes, part.target_sha256)
        .context("the content is right but its compressed form is new: the compressor (flate2) has changed")?;
    Ok(bytes)
}

/// The first [`COUNT`] items, with the count in the header changed.
fn first(content: &[u8], part: &Part) -> Vec<u8> {
    let mut result = content[..part.header + COUNT * part.item].to_vec();
    result[4..8].copy_from_slice(&(COUNT as u32).to_be_bytes());
    result
}

/// Gzip without a time, a name or an operating system in its header: the same bytes every time and everywhere.
fn compress(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn verify(what: &str, bytes: &[u8], expected: &str) -> anyhow::Result<()> {
    let found = sha256(bytes);
    ensure!(found == expected, "{what} has SHA-256 {found}, expected {expected}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_files_are_the_pinned_ones_and_are_described() {
        let folder = cargo::root().join("crates/data/data/fashion-mnist-mini");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(fs::read_to_string(folder.join("LICENSE")).unwrap().contains("Zalando SE"));
        for part in &PARTS {
            let bytes = fs::read(folder.join(part.target)).unwrap();
            verify(part.target, &bytes, part.target_sha256).unwrap();
            let mut content = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
            verify(part.target, &content, part.content_sha256).unwrap();
            assert_eq!(content.len(), part.header + COUNT * part.item);
            for sum in [part.source_sha256, part.content_sha256, part.target_sha256] {
                assert!(readme.contains(sum), "README.md lacks {sum}");
            }
        }
    }

    #[test]
    fn compression_is_deterministic_and_its_header_says_nothing_of_this_machine() {
        let content: Vec<u8> = (0..50_000u32).map(|i| ((i * i) >> 7) as u8).collect();
        let bytes = compress(&content).unwrap();
        assert_eq!(bytes, compress(&content).unwrap());
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn a_missing_or_wrong_source_is_explained() {
        let folder = std::env::temp_dir().join(format!("sfumato-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let missing = make(&PARTS[1], &folder).unwrap_err().to_string();
        assert!(missing.contains("dataset-fashion-mnist") && missing.contains("--from"), "{missing}");
        fs::write(folder.join("train-labels-idx1-ubyte"), b"something else").unwrap();
        let wrong = make(&PARTS[1], &folder).unwrap_err().to_string();
        assert!(wrong.contains(PARTS[1].source_sha256), "{wrong}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn arguments_are_checked() {
        for arguments in
            [&[][..], &["mnist"], &["fashion-mnist-mini", "x"], &["fashion-mnist-mini", "--from"], &["--wrong"]]
        {
            let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
            assert!(run(&arguments).unwrap_err().is::<Usage>(), "{arguments:?}");
        }
    }
}
