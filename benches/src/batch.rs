//! A batch that depends on nothing but its shape, in memory and as `.npy` files.

use std::path::Path;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand::RngExt;
use sfumato_files::NpyError;
use sfumato_files::write_npy_f32;
use sfumato_process::noise::{Purpose, fill_normal, stream};

const SEED: u64 = 0;
/// Steps of the schedule that batches are drawn for, `T`.
pub const STEPS: usize = 1000;

/// Images, noise and steps for the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch, channels, height, width]`.
    pub shape: [usize; 4],
    /// The images: normal with standard deviation 1/2.
    pub x_0: Vec<f32>,
    /// Standard normal.
    pub epsilon: Vec<f32>,
    /// One step `1..=1000` for each image.
    pub t: Vec<usize>,
}

impl Batch {
    /// The batch of `shape`.
    pub fn new(shape: [usize; 4]) -> Self {
        let count = shape.iter().product();
        let mut normal = [vec![0.0; count], vec![0.0; count]];
        for (values, purpose) in normal.iter_mut().zip([Purpose::Forward, Purpose::Training]) {
            fill_normal(SEED, purpose, 0, 0, values);
        }
        let [mut x_0, epsilon] = normal;
        x_0.iter_mut().for_each(|x| *x *= 0.5);
        let mut rng = stream(SEED, Purpose::TrainingStep, 0, 0);
        let t = (0..shape[0]).map(|_| rng.random_range(1..=STEPS)).collect();
        Self { shape, x_0, epsilon, t }
    }

    /// `x_0` and `epsilon` on a device.
    pub fn tensors<B: Backend>(&self, device: &B::Device) -> [Tensor<B, 4>; 2] {
        [&self.x_0, &self.epsilon].map(|values| Tensor::from_data(TensorData::new(values.clone(), self.shape), device))
    }

    /// Writes `x_0.npy`, `epsilon.npy` and `t.npy` (float32, steps from 1) into `dir`.
    ///
    /// # Errors
    /// [`NpyError`] that names the file that cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), NpyError> {
        let t: Vec<f32> = self.t.iter().map(|&t| t as f32).collect();
        write_npy_f32(&dir.join("x_0.npy"), &self.shape, &self.x_0)?;
        write_npy_f32(&dir.join("epsilon.npy"), &self.shape, &self.epsilon)?;
        write_npy_f32(&dir.join("t.npy"), &[t.len()], &t)
    }
}
