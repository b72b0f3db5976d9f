//! Tensors as slices and back.

use burn::tensor::{Shape, TensorData, TensorMetadata};
use std::borrow::Cow;

/// A float tensor in host memory.
pub(super) trait HostTensor: TensorMetadata + Sized {
    /// The values in logical order, without a copy where they lie that way; `None` unless they are f32.
    fn read(&self) -> Option<Cow<'_, [f32]>>;

    /// A tensor that takes `values` over.
    fn build(values: Vec<f32>, shape: Shape) -> Self;

    /// The values in logical order, to be overwritten: in place where nobody else holds them, in a copy of its own otherwise; `None`
    /// unless they are f32.
    fn write(&mut self) -> Option<&mut [f32]>;
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

    fn write(&mut self) -> Option<&mut [f32]> {
        if self.dtype() != burn::tensor::DType::F32 {
            return None;
        }
        if !self.is_contiguous() {
            *self = self.to_contiguous();
        }
        let (start, end) = self.layout().contiguous_offsets()?;
        Some(&mut self.storage_mut::<f32>()[start..end])
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

    fn write(&mut self) -> Option<&mut [f32]> {
        let Self::F32(storage) = self else {
            return None;
        };
        let array = storage.ensure_owned();
        if !array.is_standard_layout() {
            *array = array.as_standard_layout().into_shared();
        }
        array.as_slice_mut()
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
