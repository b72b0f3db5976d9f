//! What is wrong with a PNG, but no reason not to show it: put right before it is decoded.

use std::borrow::Cow;

use flate2::Crc;

const SIGNATURE: usize = 8;
/// Bytes of a chunk beside its data: length, name and checksum.
const FRAME: usize = 12;
/// A palette has at most 256 colours of three bytes.
const LONGEST_PALETTE: usize = 3 * 256;

/// The file with its palette cut to whole colours, 256 at most; as it is if there is nothing to mend.
///
/// Other programs pass over the rest; the decoder panics.
pub(super) fn mended(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some((start, length)) = palette(bytes) else { return Cow::Borrowed(bytes) };
    let kept = (length / 3 * 3).min(LONGEST_PALETTE);
    if kept == length || kept == 0 {
        return Cow::Borrowed(bytes);
    }
    let (end, body) = (start + FRAME + length, &bytes[start + 4..start + 8 + kept]);
    // What is damaged besides is for the decoder to say.
    if bytes[end - 4..end] != crc(&bytes[start + 4..end - 4]) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned([&bytes[..start], &(kept as u32).to_be_bytes(), body, &crc(body), &bytes[end..]].concat())
}

/// The checksum of a chunk's name and data.
pub(super) fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

/// Where the palette's chunk starts, and the length of its data.
fn palette(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = SIGNATURE;
    loop {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
        let end = at.checked_add(FRAME)?.checked_add(length)?;
        match &head[4..] {
            b"PLTE" => return (end <= bytes.len()).then_some((at, length)),
            // The palette comes before the pixels.
            b"IDAT" | b"IEND" => return None,
            _ => at = end,
        }
    }
}
