//! What a file is by its first bytes, whatever its name says.

use image::ImageFormat;

/// Bytes that suffice to tell.
pub(super) const HEAD: usize = 512;

/// Extensions under which pictures are expected: such a file is counted if it turns out to be something else.
const EXTENSIONS: [&str; 13] =
    ["png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "tif", "tiff", "gif", "pjpeg"];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A picture that can be read.
    Picture(ImageFormat),
    /// A picture or film of a kind that cannot be read, by its name.
    Foreign(&'static str),
    /// Something that is no picture, in words.
    Other(&'static str),
}

impl Kind {
    /// Tells the kind from the first [`HEAD`] bytes.
    pub(super) fn of(head: &[u8]) -> Kind {
        use Kind::{Foreign, Other, Picture};
        let brand = |brands: &[&[u8; 4]]| {
            head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|found| brands.iter().any(|b| found == *b))
        };
        match head {
            [] => Other("an empty file"),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Picture(ImageFormat::Png),
            [0xff, 0xd8, 0xff, ..] => Picture(ImageFormat::Jpeg),
            [b'G', b'I', b'F', b'8', ..] => Picture(ImageFormat::Gif),
            [b'B', b'M', ..] if head.len() >= 26 && head[6..10] == [0; 4] => Picture(ImageFormat::Bmp),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Picture(ImageFormat::Tiff),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Picture(ImageFormat::WebP),
            _ if brand(&[b"avif", b"avis"]) => Foreign("AVIF"),
            _ if brand(&[b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"]) => Foreign("HEIC"),
            _ if brand(&[b"crx "]) => Foreign("raw"),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Foreign("video"),
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Foreign("JPEG XL"),
            [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => Foreign("JPEG 2000"),
            [b'8', b'B', b'P', b'S', ..] => Foreign("PSD"),
            [b'%', b'P', b'D', b'F', ..] => Foreign("PDF"),
            [0x76, 0x2f, 0x31, 0x01, ..] => Foreign("OpenEXR"),
            [b'q', b'o', b'i', b'f', ..] => Foreign("QOI"),
            [0, 0, 1, 0, ..] => Foreign("ICO"),
            [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => Foreign("PNM"),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Other("a zip archive"),
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Other("a NumPy array"),
            _ => Kind::of_text(head),
        }
    }

    fn of_text(head: &[u8]) -> Kind {
        let text: String = String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_lowercase();
        if text.starts_with("version https://git-lfs") {
            Kind::Other("a pointer of Git LFS (run git lfs pull)")
        } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
            Kind::Other("a page of HTML")
        } else if text.starts_with("<svg")
            || ((text.starts_with("<?xml") || text.starts_with("<!")) && text.contains("<svg"))
        {
            Kind::Foreign("SVG")
        } else if head.iter().all(|&byte| byte == 0) {
            Kind::Other("a file of zeros")
        } else if head.iter().all(|&byte| byte >= 0x20 || b"\t\r\n\x0c".contains(&byte)) {
            Kind::Other("text")
        } else {
            Kind::Other("of no kind that is known")
        }
    }
}

/// The kind that an extension (in lower case) promises, of those that cannot be read.
pub(super) fn foreign_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "heic" | "heif" => "HEIC",
        "avif" => "AVIF",
        "svg" | "svgz" => "SVG",
        "jxl" => "JPEG XL",
        "jp2" | "j2k" | "jpf" | "jpx" => "JPEG 2000",
        "psd" => "PSD",
        "pdf" => "PDF",
        "ppm" | "pgm" | "pbm" | "pnm" => "PNM",
        "cr2" | "cr3" | "nef" | "arw" | "dng" | "orf" | "rw2" | "raf" => "raw",
        "mp4" | "mov" | "avi" | "mkv" | "webm" => "video",
        _ => return None,
    })
}

/// Whether an extension (in lower case) is one of a picture that can be read.
pub(super) fn picture_extension(extension: &str) -> bool {
    EXTENSIONS.contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_content() {
        for (head, kind) in [
            (&b""[..], Kind::Other("an empty file")),
            (b"hello", Kind::Other("text")),
            (b"\0\0\0\0", Kind::Other("a file of zeros")),
            (b"\x01\x02\x03", Kind::Other("of no kind that is known")),
            (
                b"version https://git-lfs.github.com/spec/v1\noid",
                Kind::Other("a pointer of Git LFS (run git lfs pull)"),
            ),
            (b"\xef\xbb\xbf <!DOCTYPE html><html>", Kind::Other("a page of HTML")),
            (b"<?xml version=\"1.0\"?><svg xmlns=\"x\">", Kind::Foreign("SVG")),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Kind::Foreign("HEIC")),
            (b"\0\0\0\x18ftypavif\0\0\0\0", Kind::Foreign("AVIF")),
            (b"\0\0\0\x18ftypmp42\0\0\0\0", Kind::Foreign("video")),
            (b"8BPS\0\x01", Kind::Foreign("PSD")),
            (b"\xff\xd8\xff\xe0", Kind::Picture(ImageFormat::Jpeg)),
            (b"II*\0", Kind::Picture(ImageFormat::Tiff)),
            (b"GIF89a", Kind::Picture(ImageFormat::Gif)),
            (b"BMW is a car", Kind::Other("text")),
            (b"P5 4 4 255 ", Kind::Foreign("PNM")),
        ] {
            assert_eq!(Kind::of(head), kind, "{}", String::from_utf8_lossy(head));
        }
    }
}
