//! Whether a JPEG is whole, told from its own structure: ITU-T T.81, Annex B.
//!
//! Decoders are lenient and paint what is missing grey, which a model would learn. Looking for markers anywhere in the file
//! is decided by chance: thumbnails hold end markers, and phones append videos. So the segments are followed from the start,
//! each by its length, and the entropy-coded data of each scan is walked ([`super::jpeg_scan`]). The picture is whole when the
//! data of its scans is; a missing end marker behind that costs nothing, and what follows is not the picture's.

use super::jpeg_scan::{Component, Frame, Scan, Tables, walk};
use super::jpeg_segment::{Fault, Segment};

/// Checks that the picture's own data is all there.
pub(super) fn check(bytes: &[u8]) -> Result<(), Fault> {
    let mut at = 2; // behind the start marker, by which the file was recognised
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    loop {
        let Some(marker) = next_marker(bytes, &mut at) else {
            return Err(Fault::Truncated);
        };
        match marker {
            // The end, before the scans have brought every coefficient in full: all that encoders write do. A cut between two
            // scans leaves a blurred picture.
            0xd9 => return Err(Fault::Truncated),
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = match bytes.get(at..at + 2) {
            Some(length) => usize::from(length[0]) << 8 | usize::from(length[1]),
            None => return Err(Fault::Truncated),
        };
        if length < 2 {
            return Err(Fault::Damaged("a segment has no length"));
        }
        let segment = bytes.get(at + 2..at + length).ok_or(Fault::Truncated)?;
        at += length;
        match marker {
            0xc4 => tables.define(Segment(segment))?,
            0xdd => tables.restart_interval = Segment(segment).u16()?,
            0xc9..=0xcf => return Err(Fault::Unsupported("arithmetically coded")),
            0xc3 | 0xc7 => return Err(Fault::Unsupported("lossless")),
            0xc5 | 0xc6 => return Err(Fault::Unsupported("hierarchical")),
            0xc0..=0xc2 => {
                if frame.is_some() {
                    return Err(Fault::Damaged("it has two frames"));
                }
                frame = Some(read_frame(Segment(segment), marker == 0xc2)?);
            }
            0xda => {
                let frame = frame.as_mut().ok_or(Fault::Damaged("a scan comes before the frame"))?;
                let scan = read_scan(Segment(segment), frame)?;
                if !tables.serve(frame, &scan) {
                    // Tables that stand elsewhere (frames of a video): what is here cannot be walked.
                    return Ok(());
                }
                at += walk(&bytes[at..], &tables, frame, &scan)?;
                if frame.complete() {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}

/// Moves to the next marker and past it; what stands before one, as an encoder's padding, is passed over.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let found = bytes.get(*at..)?.iter().position(|&byte| byte == 0xff)?;
        *at += found + 1;
        match *bytes.get(*at)? {
            0xff => {}
            0 => *at += 1,
            marker => {
                *at += 1;
                return Some(marker);
            }
        }
    }
}

fn read_frame(mut segment: Segment<'_>, progressive: bool) -> Result<Frame, Fault> {
    let precision = segment.u8()?;
    let (height, width) = (segment.u16()?, segment.u16()?);
    let count = segment.u8()?;
    match precision {
        8 => {}
        12 => return Err(Fault::Unsupported("of 12 bits a sample")),
        _ => return Err(Fault::Unsupported("of an unusual number of bits a sample")),
    }
    if height == 0 {
        return Err(Fault::Unsupported("of a height that is stated behind the data"));
    }
    if width == 0 || !(1..=4).contains(&count) {
        return Err(Fault::Damaged("its frame has no width or no sensible number of components"));
    }
    let mut components = Vec::new();
    for _ in 0..count {
        let (id, sampling) = (segment.u8()?, segment.u8()?);
        segment.u8()?;
        let (h, v) = (usize::from(sampling >> 4), usize::from(sampling & 15));
        if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
            return Err(Fault::Damaged("its frame has a sampling factor that is not 1 to 4"));
        }
        components.push(Component::new(id, h, v));
    }
    Ok(Frame::new(width, height, progressive, components))
}

fn read_scan(mut segment: Segment<'_>, frame: &Frame) -> Result<Scan, Fault> {
    let count = segment.u8()?;
    let mut components = Vec::new();
    for _ in 0..count {
        let (id, tables) = (segment.u8()?, segment.u8()?);
        let index = frame.components.iter().position(|component| component.id == id);
        let index = index.ok_or(Fault::Damaged("a scan has a component that the frame lacks"))?;
        if tables >> 4 > 3 || tables & 15 > 3 {
            return Err(Fault::Damaged("a scan names a table that cannot be"));
        }
        components.push((index, usize::from(tables >> 4), usize::from(tables & 15)));
    }
    let (first, last, approximation) = (segment.u8()?, segment.u8()?, segment.u8()?);
    let scan = Scan {
        components,
        first: usize::from(first),
        last: usize::from(last),
        high: approximation >> 4,
        low: approximation & 15,
    };
    let sensible = (1..=4).contains(&count)
        && (!frame.progressive
            || (scan.last < 64
                && scan.first <= scan.last
                && scan.low < 14
                && (scan.first == 0) == (scan.last == 0)
                && (scan.first == 0 || count == 1)));
    sensible.then_some(scan).ok_or(Fault::Damaged("a scan has impossible parameters"))
}
