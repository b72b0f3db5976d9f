//! Tensors as slices and back.

use burn::tensor::{Shape, TensorData, TensorMetadata};
use std::borrow::Cow;

/// A float tensor in host memory.
pub(super) trait HostTensor: TensorMetadata + Sized {
    /// The values in logical order, without a copy where they lie that way; `None` unless they are f32.
    fn read(&self) -> Option<Cow<'_, [f32]>>;

    /// A tensor that takes `values` over.
    fn build(values: Vec<f32>, shape: Shape) -> Self;

    /// The values as a vector of one's own, without a copy where nobody else holds them; gives the tensor back unless
    /// they are f32.
    fn take(self) -> Result<Vec<f32>, Self>;
}

#[cfg(feature = "flex")]
impl HostTensor for burn::backend::flex::FlexTensor {
    fn read(&self) -> Option<Cow<'_, [f32]>> {
        if self.dtype() != burn::tensor::DType::F32 {
            return None;
        }
        if let Some(slice) = self.as_slice::<f32>() {
            return Some(Cow::Borrowed(slice));
        }
        let values = self.to_contiguous().into_data().into_vec();
        values.ok().map(Cow::Owned)
    }

    fn build(values: Vec<f32>, shape: Shape) -> Self {
        Self::from_data(TensorData::new(values, shape))
    }

    fn take(self) -> Result<Vec<f32>, Self> {
        if self.dtype() != burn::tensor::DType::F32 {
            return Err(self);
        }
        let values = self.into_data().into_vec();
        Ok(values.expect("the dtype was checked"))
    }
}

#[cfg(feature = "ndarray")]
impl HostTensor for burn::backend::ndarray::NdArrayTensor {
    fn read(&self) -> Option<Cow<'_, [f32]>> {
        let Self::F32(storage) = self else {
            return None;
        };
        let view = storage.view();
        Some(match view.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(view.iter().copied().collect()),
        })
    }

    fn build(values: Vec<f32>, shape: Shape) -> Self {
        Self::from_data(TensorData::new(values, shape))
    }

    fn take(self) -> Result<Vec<f32>, Self> {
        let storage = match self {
            Self::F32(storage) => storage,
            other => return Err(other),
        };
        let array = storage.into_owned();
        let standard = array.is_standard_layout();
        Ok(match array.try_into_owned_nocopy() {
            Ok(array) if standard => {
                let len = array.len();
                let (mut values, offset) = array.into_raw_vec_and_offset();
                // A view that starts later or ends earlier than its buffer.
                values.drain(..offset.unwrap_or(0));
                values.truncate(len);
                values
            }
            Ok(array) => array.iter().copied().collect(),
            Err(array) => array.iter().copied().collect(),
        })
    }
}

/// The values of a tensor that need not be there; `None` only where it is there and not f32.
#[allow(clippy::option_option)] // absent tensor, or wrong dtype
pub(super) fn read_option<T: HostTensor>(x: Option<&T>) -> Option<Option<Cow<'_, [f32]>>> {
    match x {
        None => Some(None),
        Some(x) => x.read().map(Some),
    }
}
