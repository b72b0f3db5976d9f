//! What a picture consists of, between layout and the file formats.

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// Where a text stands relative to its point, which is on its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing to draw. Coordinates are pixels at the picture's nominal size, y downwards.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A line through points, with round ends and joints.
    Line { points: Vec<[f64; 2]>, colour: Colour, width: f64 },
    /// A line of text.
    Text { at: [f64; 2], size: f64, anchor: Anchor, colour: Colour, text: String },
}

/// A white picture with things on it, the later ones on top.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) items: Vec<Item>,
}

impl Scene {
    pub(super) fn line(&mut self, points: Vec<[f64; 2]>, colour: Colour, width: f64) {
        self.items.push(Item::Line { points, colour, width });
    }

    pub(super) fn text(&mut self, at: [f64; 2], size: f64, anchor: Anchor, colour: Colour, text: impl Into<String>) {
        self.items.push(Item::Text { at, size, anchor, colour, text: text.into() });
    }
}
