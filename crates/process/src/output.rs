//! The shape of a network's output: that of what it was shown, or twice the channels.

use burn::tensor::{Tensor, backend::Backend};

/// An output that is no prediction for the data: subtracted from it, it would be broadcast over it, or panic deep inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the network was shown a batch of shape {shown:?} and answered with one of shape {answered:?}; the answer must have \
     the same shape, or twice the channels where the second half is about the variance"
)]
pub struct OutputShapeError {
    /// Shape of `x_t`.
    pub shown: Vec<usize>,
    /// Shape of the output.
    pub answered: Vec<usize>,
}

/// An output's prediction, and the half about the variance where there is one; each of the shape of `x_t`.
pub(crate) type Halves<B, const D: usize> = (Tensor<B, D>, Option<Tensor<B, D>>);

/// Parts `output`, the answer to a batch of shape `shown`.
///
/// # Errors
/// [`OutputShapeError`] if it has neither the same shape nor twice the channels.
pub(crate) fn try_halves<B: Backend, const D: usize>(
    output: Tensor<B, D>,
    shown: [usize; D],
) -> Result<Halves<B, D>, OutputShapeError> {
    let answered = output.dims();
    if answered == shown {
        return Ok((output, None));
    }
    let mut twice = shown;
    if let Some(channels) = twice.get_mut(1) {
        *channels *= 2;
    }
    if answered != twice {
        return Err(OutputShapeError { shown: shown.to_vec(), answered: answered.to_vec() });
    }
    let channels = shown[1];
    Ok((output.clone().narrow(1, 0, channels), Some(output.narrow(1, channels, channels))))
}

/// As [`try_halves`].
///
/// # Panics
/// Where that is an error: a mistake in the calling code.
#[track_caller]
pub(crate) fn halves<B: Backend, const D: usize>(output: Tensor<B, D>, shown: [usize; D]) -> Halves<B, D> {
    try_halves(output, shown).unwrap_or_else(|error| panic!("{error}"))
}
