//! A model's samples as a set of pictures.

use sfumato_data::Dataset;
use sfumato_model::Samples;

/// Samples for [`compare`](crate::compare()).
///
/// # Examples
/// ```
/// use sfumato_data::Dataset;
/// use sfumato_evaluate::SampleSet;
/// use sfumato_model::Samples;
///
/// let samples = Samples::new(&[1, 2, 2], vec![0.0; 12]);
/// assert_eq!(SampleSet(samples).len(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct SampleSet(pub Samples);

impl Dataset for SampleSet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn shape(&self) -> &[usize] {
        self.0.sample_shape()
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        let size = self.example_len();
        out.copy_from_slice(&self.0.values()[i * size..(i + 1) * size]);
    }

    fn name(&self) -> &str {
        "samples"
    }
}
