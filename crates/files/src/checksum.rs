//! Checksums by which a file can be told from another.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FileError, open_regular};

/// SHA-256 of a file's bytes, in hexadecimal. Reads piece by piece: memory does not depend on the file.
///
/// # Errors
/// As [`open_regular`].
pub fn file_sha256(path: &Path) -> io::Result<String> {
    let mut file = open_regular(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn bytes_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of what `sha256sum` prints of several files from within their folder: for each its checksum, two spaces, its name and a line
/// feed.
///
/// # Errors
/// [`FileError`] with the file that cannot be read.
pub fn files_sha256<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<String, FileError> {
    let mut hash = Sha256::new();
    for path in paths {
        let read = |source| FileError { action: "read", path: path.to_owned(), source };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        hash.update(format!("{}  {name}\n", file_sha256(path).map_err(read)?));
    }
    Ok(hex(&hash.finalize()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        let dir = tempfile::tempdir().unwrap();
        let (path, million) = (dir.path().join("x"), "a".repeat(1_000_000));
        // FIPS 180-2, appendices B.1 and B.3.
        for (text, expected) in [
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (million.as_str(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file_sha256(&path).unwrap(), expected);
            assert_eq!(bytes_sha256(text.as_bytes()), expected);
        }
        assert!(file_sha256(dir.path()).is_err());
    }

    #[test]
    fn the_checksum_of_several_files_is_that_of_their_list() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b.bin"));
        std::fs::write(&a, "abc").unwrap();
        std::fs::write(&b, "").unwrap();
        let list = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n\
                    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b.bin\n";
        std::fs::write(dir.path().join("list"), list).unwrap();
        let expected = file_sha256(&dir.path().join("list")).unwrap();
        assert_eq!(files_sha256([a.as_path(), b.as_path()]).unwrap(), expected);
        let missing = files_sha256([dir.path().join("c").as_path()]).unwrap_err();
        assert!(missing.path.ends_with("c"));
    }
}
