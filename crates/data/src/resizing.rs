//! What became of pictures that were brought to another size.

use std::fmt;

use super::ImageSize;
use super::fit::largest_part;

/// How the pictures of a [`LoadedDataset`](super::LoadedDataset) were brought to its size. It decides a model's score as much as the
/// pictures do.
#[derive(Debug, Clone, PartialEq)]
pub struct Resizing {
    /// Pictures that had another size.
    pub pictures: usize,
    /// All pictures.
    pub of: usize,
    /// Size of the smallest of those that had another, by area.
    pub smallest: ImageSize,
    /// Size of the largest.
    pub largest: ImageSize,
    /// The size they have now.
    pub to: ImageSize,
    /// The filter, or what was put around them.
    pub method: &'static str,
    /// Pictures of which something was cut away.
    pub cut: usize,
    /// The largest share of a picture's area that was cut away, 0 to 1.
    pub largest_cut: f64,
}

impl Resizing {
    /// What became of pictures of the sizes `from`; none if nothing did.
    pub(super) fn of(from: &[ImageSize], to: ImageSize, method: &'static str) -> Option<Resizing> {
        let area = |size: &ImageSize| size.height * size.width;
        let others = || from.iter().filter(|size| **size != to);
        let (smallest, largest) = (others().min_by_key(|size| area(size))?, others().max_by_key(|size| area(size))?);
        let padded =
            |size: &ImageSize| method != super::fit::FILTER && size.height <= to.height && size.width <= to.width;
        let cut = |size: &ImageSize| {
            if padded(size) { 0.0 } else { 1.0 - area(&largest_part(*size, to)) as f64 / area(size) as f64 }
        };
        Some(Resizing {
            pictures: others().count(),
            of: from.len(),
            smallest: *smallest,
            largest: *largest,
            to,
            method,
            cut: others().filter(|size| cut(size) > 0.0).count(),
            largest_cut: others().map(cut).fold(0.0, f64::max),
        })
    }

    /// A sentence on what was cut away, if anything was.
    pub(super) fn cut_note(&self) -> Option<String> {
        let percent = (100.0 * self.largest_cut).round().max(1.0);
        (self.cut > 0).then(|| {
            format!(
                "{} of {} pictures are cut to the shape of {}, and up to {percent} % of a picture is cut away; \
                 `train --image-size HEIGHTxWIDTH` gives them another shape",
                self.cut, self.of, self.to
            )
        })
    }
}

impl fmt::Display for Resizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resizing { pictures, of, smallest, largest, to, method, .. } = self;
        let from = if smallest == largest { largest.to_string() } else { format!("{smallest} … {largest}") };
        write!(f, "{pictures} of {of} pictures resized from {from} to {to} ({method}")?;
        if self.cut > 0 {
            write!(f, ", up to {:.0} % cut away", (100.0 * self.largest_cut).max(1.0))?;
        }
        f.write_str(")")
    }
}
