//! The one thing that a data set must do.

use std::fmt;

/// Examples for training and for evaluation, with or without classes. Anything that can write its example `i` into a slice is one.
///
/// Only the first three methods have to be written. The others say what more is known, and change what is done with the data:
/// classes make a class-conditional model possible, 256 levels make bits/dim of the discrete data possible.
///
/// # Examples
/// Grey pictures of 8×8 pixels, each of one brightness, made when they are asked for:
/// ```
/// use sfumato_data::Dataset;
///
/// struct Flat;
/// impl Dataset for Flat {
///     fn len(&self) -> usize {
///         1000
///     }
///
///     fn shape(&self) -> &[usize] {
///         &[1, 8, 8]
///     }
///
///     fn write(&self, i: usize, out: &mut [f32]) {
///         out.fill(i as f32 / 500.0 - 1.0);
///     }
/// }
///
/// assert_eq!(Flat.example_len(), 64);
/// assert!((Flat.mean_square() - 1.0 / 3.0).abs() < 1e-3);
/// ```
pub trait Dataset: Sync {
    /// Number of examples, at least 1; also of a data set of which a [part](Self::part) is in memory.
    fn len(&self) -> usize;

    /// Shape of one example: `[channels, height, width]` of a picture, `[D]` of a point.
    fn shape(&self) -> &[usize];

    /// Writes example `i`, from 0, to `out` as the network sees it, in row-major order: pictures in [-1, 1]. The same values every time.
    ///
    /// # Panics
    /// It may panic if `i` is not below [`len`](Self::len), or `out` is not [`example_len`](Self::example_len) long.
    fn write(&self, i: usize, out: &mut [f32]);

    /// Class index of example `i`, below [`classes`](Self::classes), if the data set has classes.
    fn label(&self, i: usize) -> Option<usize> {
        let _ = i;
        None
    }

    /// Names of the classes by index; empty without classes.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// Number of classes, if the data set has them.
    fn classes(&self) -> Option<usize> {
        Some(self.class_names().len()).filter(|&classes| classes > 0)
    }

    /// Whether the values are 256 levels, `k/127.5 - 1` for a byte `k`, so that bits/dim of the discrete data is defined.
    fn is_discrete(&self) -> bool {
        false
    }

    /// What the data set is called in records.
    fn name(&self) -> &str {
        "own data"
    }

    /// SHA-256 of the content in hexadecimal, or empty where it is not known. A run that goes on notices by it that its data has changed.
    fn sha256(&self) -> &str {
        ""
    }

    /// The examples that can be written, in the order in which they are to be scored, if not all can.
    fn part(&self) -> Option<&[usize]> {
        None
    }

    /// Mean of `x²` over all values, in squared data units: what the bound's prior term depends on.
    fn mean_square(&self) -> f64 {
        let mut example = vec![0.0; self.example_len()];
        let mut total = 0.0;
        for i in 0..self.len() {
            self.write(i, &mut example);
            total += example.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        }
        total / (self.len() * self.example_len()) as f64
    }

    /// Number of values of one example, the product of [`shape`](Self::shape).
    fn example_len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for dyn Dataset + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} examples of {:?})", self.name(), self.len(), self.shape())
    }
}

/// Mirrors an example of `shape` left to right: a picture's rows. Points stay as they are.
pub fn mirror(shape: &[usize], example: &mut [f32]) {
    if let [_, _, width] = shape {
        example.chunks_exact_mut(*width).for_each(<[f32]>::reverse);
    }
}
