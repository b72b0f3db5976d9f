//! Checksums by which a file can be told from another.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::open_regular;

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
        }
        assert!(file_sha256(dir.path()).is_err());
    }
}
