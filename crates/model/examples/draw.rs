//! Opens any model directory and draws 16 pictures as bytes: `cargo run --release --example draw -- DIR`.

use burn::backend::Flex;
use sfumato_model::{Model, ModelError};

/// Pictures as RGB bytes, three for each pixel.
pub(crate) fn draw(dir: &str) -> Result<Vec<Vec<u8>>, ModelError> {
    let model = Model::<Flex>::open(dir)?;
    let samples = model.sample(16).steps(20).seed(7).draw()?;
    (0..samples.len()).map(|i| samples.to_rgb8(i)).collect()
}

#[allow(dead_code)] // a test calls `draw`
fn main() -> Result<(), ModelError> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "runs/fashion-mnist-mini".to_owned());
    let pictures = draw(&dir)?;
    println!("{} pictures of {} bytes", pictures.len(), pictures[0].len());
    Ok(())
}
