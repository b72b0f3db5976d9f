//! What the flow asks of a network: its prediction, and the product of its Jacobian with a direction.

use burn::tensor::{DType, Tensor, TensorData, backend::AutodiffBackend};

use super::FlowError;
use crate::{
    Chain, NoiseLevel,
    bound::{self, Decoder, PredictBetween},
    output::try_halves,
};

/// Points that are asked about, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The states, `x_t` with variance preserved.
    pub x: &'a [f64],
    /// The noise level of each, with the time that the network is told.
    pub levels: &'a [NoiseLevel],
    /// A direction `w` for each, laid out like `x`.
    pub probes: &'a [f32],
    /// Ids of the examples.
    pub examples: &'a [usize],
}

/// What a network answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The raw prediction (without a half about the variance), laid out like the states.
    pub output: Vec<f64>,
    /// `wᵀ J w` of each row, with the Jacobian `J` of the prediction by the state.
    pub products: Vec<f64>,
}

/// A network, or an oracle, that knows its Jacobian's products.
pub trait Field {
    /// The answers to all rows of `query`.
    ///
    /// # Errors
    /// [`FlowError`].
    fn ask(&self, query: &Query<'_>) -> Result<Answers, FlowError>;

    /// `L_0` of `chain` in nats, for examples and their states at step 1, row after row.
    ///
    /// # Errors
    /// [`FlowError::Decoder`].
    fn decode(&self, step: &FirstStep<'_>) -> Result<Vec<f64>, FlowError>;
}

/// Examples and their states at step 1.
#[derive(Clone, Copy, Debug)]
pub struct FirstStep<'a> {
    /// The chain, whose first step it is.
    pub chain: &'a Chain,
    /// What `L_0` is.
    pub decoder: Decoder,
    /// The examples, row after row.
    pub x_0: &'a [f32],
    /// Their states at step 1.
    pub x_1: &'a [f64],
    /// Their ids.
    pub examples: &'a [usize],
}

/// A network on a backend that differentiates: the products are gradients of `Σ wᵀ f(x)` by `x`, times `w`.
pub struct Differentiated<'a, A: AutodiffBackend, const D: usize> {
    /// The network's raw prediction, as in [`PredictBetween`]. Parameters that are not tracked cost no gradient.
    pub predict: &'a PredictBetween<'a, A, D>,
    /// Shape of one example.
    pub shape: &'a [usize],
    /// Where it computes.
    pub device: &'a A::Device,
    /// The element type that it is shown.
    pub dtype: DType,
}

impl<A: AutodiffBackend, const D: usize> Differentiated<'_, A, D> {
    fn tensor<T: burn::tensor::Element>(&self, values: &[T]) -> Tensor<A, D> {
        let size: usize = self.shape.iter().product();
        let mut shape = [values.len() / size.max(1); D];
        shape[1..].copy_from_slice(self.shape);
        Tensor::from_data(TensorData::new(values.to_vec(), shape), (self.device, self.dtype))
    }
}

impl<A: AutodiffBackend, const D: usize> Field for Differentiated<'_, A, D> {
    /// # Panics
    /// If the rank `D` is not one more than the examples'.
    fn ask(&self, query: &Query<'_>) -> Result<Answers, FlowError> {
        let x = self.tensor(query.x).require_grad();
        let times: Vec<f64> = query.levels.iter().map(|level| level.t).collect();
        let output = (self.predict)(x.clone(), &times, query.examples);
        let (output, _) = try_halves(output, x.dims())?;
        let values = read(output.clone().inner())?;
        // An answer that was not computed from the input has no graph, and Burn panics without one.
        let graph = Tensor::<A, 1>::zeros([1], (self.device, self.dtype)).require_grad();
        let mut gradients = ((output * self.tensor(query.probes)).sum() + graph).backward();
        let gradient = x.grad_remove(&mut gradients).ok_or(FlowError::NoGradient)?;
        let gradient = read(gradient)?;
        let size = query.x.len() / query.levels.len().max(1);
        let rows = gradient.chunks_exact(size).zip(query.probes.chunks_exact(size));
        let products = rows.map(|(row, w)| row.iter().zip(w).map(|(g, &w)| g * f64::from(w)).sum());
        Ok(Answers { output: values, products: products.collect() })
    }

    fn decode(&self, step: &FirstStep<'_>) -> Result<Vec<f64>, FlowError> {
        let known = bound::Between { predict: self.predict, examples: step.examples };
        let steps = vec![1; step.examples.len()];
        let (x_0, x_1) = (self.tensor(step.x_0), self.tensor(step.x_1));
        let terms = bound::step_terms(step.chain, &known, step.decoder, x_0, x_1, &steps);
        terms.map_err(|error| FlowError::Decoder(error.of_example(|row| step.examples[row])))
    }
}

fn read<B: burn::tensor::backend::Backend, const D: usize>(x: Tensor<B, D>) -> Result<Vec<f64>, FlowError> {
    let data = x.try_into_data().map_err(|error| FlowError::Device { reason: error.to_string() })?;
    Ok(data.iter::<f64>().collect())
}
