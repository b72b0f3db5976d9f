//! The gradient of a loss in all parameters of a module, as one value: taken out of a graph, added to others, measured.

use crate::{AutodiffBackend, Backend, adam::flatten, ops::primitive, ops::tensor, sum_of_squares};
use burn::{
    module::{AutodiffModule, ModuleVisitor, Param},
    tensor::{Tensor, backend},
};

/// The gradient of a loss in every parameter of a module.
///
/// # Examples
/// A batch in two parts has the gradient of the whole, up to rounding, if each part's loss counts by its share of the examples.
/// ```
/// use burn::{backend::{Autodiff, Flex}, nn::LinearConfig, tensor::Tensor};
/// use sfumato_kernels::Gradient;
///
/// type Train = Autodiff<Flex>;
/// let device = Default::default();
/// let layer = LinearConfig::new(1, 1).init::<Train>(&device);
/// let part = |x: &[f32], share: f64| {
///     let x = Tensor::<Train, 1>::from_data(x, &device).reshape([-1, 1]);
///     let loss = (layer.forward(x.clone()) - x).square().mean() * share;
///     Gradient::<Flex>::of::<Train, _>(&layer, &mut loss.backward())
/// };
/// let whole = part(&[1.0, 2.0, 3.0], 1.0);
/// let sum = part(&[1.0, 2.0], 2.0 / 3.0).plus(part(&[3.0], 1.0 / 3.0));
/// assert!((sum.norm() / whole.norm() - 1.0).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct Gradient<B: Backend> {
    values: Vec<Option<Tensor<B, 1>>>,
}

impl<B: Backend> Gradient<B> {
    /// Takes the gradient of every parameter of `model` out of `grads`.
    pub fn of<A, M>(model: &M, grads: &mut A::Gradients) -> Self
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        let mut collect = Collect::<A> { grads, flat: Vec::new() };
        model.visit(&mut collect);
        Self { values: collect.flat }
    }

    /// The gradient with these values: flat, one for each parameter in visiting order, none where the loss does not depend on it.
    pub fn from_values(values: Vec<Option<Tensor<B, 1>>>) -> Self {
        Self { values }
    }

    /// The gradient of each parameter, flat, in visiting order; none where the loss does not depend on it.
    pub fn values(&self) -> &[Option<Tensor<B, 1>>] {
        &self.values
    }

    /// The same, handed over.
    pub fn into_values(self) -> Vec<Option<Tensor<B, 1>>> {
        self.values
    }

    /// Its norm over all parameters, as [`sum_of_squares`] sums.
    pub fn norm(&self) -> f64 {
        sum_of_squares(self.values.iter().flatten().cloned().collect()).sqrt()
    }

    /// The same as a tensor `[1]` on the device, in the dtype of the gradient; none where there are no values.
    pub(crate) fn norm_on_device(&self) -> Option<Tensor<B, 1>> {
        let squares: Vec<Tensor<B, 1>> = self.values.iter().flatten().map(|x| x.clone().square().sum()).collect();
        (!squares.is_empty()).then(|| Tensor::cat(squares, 0).sum().sqrt())
    }

    /// Every value times `factor`, `[1]`.
    pub(crate) fn times(self, factor: &Tensor<B, 1>) -> Self {
        Self { values: self.values.into_iter().map(|x| x.map(|x| x * factor.clone())).collect() }
    }

    /// The gradient of the sum of both losses: every value is `self + other`, rounded once. On the CPU backends it is in the memory of
    /// `self`, where nobody else holds that.
    ///
    /// # Panics
    /// If they are those of different modules.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        assert_eq!(self.values.len(), other.values.len(), "gradients of one module");
        let add = |(a, b): (Option<Tensor<B, 1>>, Option<Tensor<B, 1>>)| match (a, b) {
            (Some(a), Some(b)) => {
                assert_eq!(a.dims(), b.dims(), "gradients of one parameter");
                Some(tensor(B::fused_add(primitive(a), primitive(b))))
            }
            (a, b) => a.or(b),
        };
        Self { values: self.values.into_iter().zip(other.values).map(add).collect() }
    }
}

/// Takes the gradient of every parameter out of `grads`, flat, in visiting order.
struct Collect<'a, A: AutodiffBackend> {
    grads: &'a mut A::Gradients,
    flat: Vec<Option<Tensor<A::InnerBackend, 1>>>,
}

impl<A: AutodiffBackend> ModuleVisitor<A> for Collect<'_, A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        self.flat.push(param.grad_remove(self.grads).map(flatten));
    }
}
