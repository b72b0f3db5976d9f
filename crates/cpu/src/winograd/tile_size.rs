//! The choice of the tiles.

/// Side of the output tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileSize {
    /// F(2×2, 3×3): 16 multiplications for 4 outputs, smaller rounding errors.
    Two,
    /// F(4×4, 3×3): 36 multiplications for 16 outputs.
    Four,
}

impl TileSize {
    /// The one to use for images of `h` × `w`: F(2×2) only where a tile of 4 × 4 would be mostly empty.
    pub fn for_size(h: usize, w: usize) -> Self {
        if h <= 2 && w <= 2 { Self::Two } else { Self::Four }
    }
}
