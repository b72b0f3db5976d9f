//! Numbers that a device may still be computing.

use burn::tensor::{ElementConversion, Tensor, TensorData};

use crate::Backend;

/// A number of a training step, such as its loss: known, or still on a device.
///
/// To read a value a program waits until a device has done all work before it, and the device then waits for more. A loop that reads
/// nothing hands over its next step meanwhile. On backends [in the host's memory](Backend::is_on_host) every scalar is read when it is
/// made, in `f64`; elsewhere sums and products are the device's, in the dtype of its tensors.
///
/// # Examples
/// ```
/// use burn::{backend::Flex, tensor::Tensor};
/// use sfumato_kernels::Scalar;
///
/// let loss = Scalar::of(Tensor::<Flex, 1>::from_data([0.5], &Default::default()));
/// let sum = loss.times(0.5).plus(Scalar::known(1.0));
/// assert_eq!(Scalar::read_all(vec![sum, Scalar::known(3.0)]), [1.25, 3.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Scalar<B: Backend>(Value<B>);

#[derive(Clone, Debug)]
enum Value<B: Backend> {
    Known(f64),
    /// `[1]`
    OnDevice(Tensor<B, 1>),
}

impl<B: Backend> Scalar<B> {
    /// A number that the host knows.
    pub fn known(value: f64) -> Self {
        Self(Value::Known(value))
    }

    /// The value of a tensor that has one.
    ///
    /// # Panics
    /// If it has several.
    pub fn of(tensor: Tensor<B, 1>) -> Self {
        if B::is_on_host() { Self::known(tensor.into_scalar().elem()) } else { Self::on_device(tensor) }
    }

    /// The value of a tensor, which is not read.
    pub(crate) fn on_device(tensor: Tensor<B, 1>) -> Self {
        assert_eq!(tensor.dims(), [1], "a scalar is one value");
        Self(Value::OnDevice(tensor))
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Value::Known(a), Value::Known(b)) => Value::Known(a + b),
            (Value::Known(a), Value::OnDevice(b)) | (Value::OnDevice(b), Value::Known(a)) => Value::OnDevice(b + a),
            (Value::OnDevice(a), Value::OnDevice(b)) => Value::OnDevice(a + b),
        })
    }

    /// The number times `factor`.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self(match self.0 {
            Value::Known(value) => Value::Known(value * factor),
            Value::OnDevice(tensor) => Value::OnDevice(tensor * factor),
        })
    }

    /// The number, which is waited for.
    pub fn read(self) -> f64 {
        Self::read_all(vec![self])[0]
    }

    /// All these numbers; their device is waited for once.
    pub fn read_all(scalars: Vec<Self>) -> Vec<f64> {
        let on_device = scalars.iter().filter_map(|scalar| match &scalar.0 {
            Value::Known(_) => None,
            Value::OnDevice(tensor) => Some(tensor.clone()),
        });
        let tensors: Vec<Tensor<B, 1>> = on_device.collect();
        let mut read = match tensors.first().map(Tensor::dtype) {
            // One tensor is one reading.
            Some(dtype) => {
                let one = Tensor::cat(tensors.into_iter().map(|tensor| tensor.cast(dtype)).collect(), 0);
                one.into_data().iter::<f64>().collect()
            }
            None => Vec::new(),
        }
        .into_iter();
        let value = |scalar: Self| match scalar.0 {
            Value::Known(value) => value,
            Value::OnDevice(_) => read.next().expect("one value for each tensor"),
        };
        scalars.into_iter().map(value).collect()
    }

    /// The number as a tensor `[1]` beside `like`.
    pub(crate) fn to_tensor(&self, like: &Tensor<B, 1>) -> Tensor<B, 1> {
        match &self.0 {
            Value::Known(value) => {
                let data = TensorData::from([*value]).convert_dtype(like.dtype());
                Tensor::from_data(data, (&like.device(), like.dtype()))
            }
            Value::OnDevice(tensor) => tensor.clone(),
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::backend::{Flex, flex::FlexDevice};

    use super::*;

    fn pending(value: f32) -> Scalar<Flex> {
        Scalar::on_device(Tensor::from_data([value], &FlexDevice))
    }

    #[test]
    fn a_number_on_a_device_is_what_a_known_one_is() {
        for a in [Scalar::known(0.75), pending(0.75)] {
            for b in [Scalar::known(-2.5), pending(-2.5)] {
                assert_eq!(a.clone().plus(b.clone()).times(2.0).read(), -3.5);
                assert_eq!(
                    Scalar::read_all(vec![b.clone(), a.clone(), Scalar::known(1.0), b]),
                    [-2.5, 0.75, 1.0, -2.5]
                );
            }
        }
        assert!(Scalar::<Flex>::read_all(Vec::new()).is_empty());
    }

    #[test]
    #[should_panic(expected = "one value")]
    fn several_values_are_no_scalar() {
        Scalar::on_device(Tensor::<Flex, 1>::zeros([2], &FlexDevice));
    }
}
