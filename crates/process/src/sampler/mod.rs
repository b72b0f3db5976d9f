//! Samplers: from `x_T ~ N(0, I)` down the reverse chain to `x_0`.
//!
//! Each sampler is a function that follows its paper line by line. Noise is drawn from a [`NoiseSource`](crate::NoiseSource)
//! (draw 0 is `x_T`, then one draw for each stochastic step), and an observer sees every state and may stop the chain.

mod ancestral;
mod ddim;

pub use ancestral::ancestral;
pub use ddim::{Ddim, ddim};

use std::ops::ControlFlow;

use burn::tensor::{Tensor, backend::Backend};

use crate::NoiseError;

/// A state of the chain, as an observer sees it.
#[derive(Debug)]
pub struct State<'a, B: Backend, const D: usize> {
    /// Steps done, `1..=total`.
    pub done: usize,
    /// Steps of the whole chain.
    pub total: usize,
    /// The state after this step, `[batch, …]`.
    pub x: &'a Tensor<B, D>,
    /// The prediction of the clean data that this step was made with, `[batch, …]`.
    pub x_0: &'a Tensor<B, D>,
}

/// What looks on: called after each step; [`ControlFlow::Break`] stops the chain with [`SampleError::Stopped`].
pub type Observer<'a, B, const D: usize> = dyn FnMut(State<'_, B, D>) -> ControlFlow<()> + 'a;

/// The observer that only looks away.
pub fn ignore<B: Backend, const D: usize>(_: State<'_, B, D>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Why a chain did not reach its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// Noise could not be had.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The observer stopped the chain.
    #[error("sampling was stopped after {done} of {total} steps")]
    Stopped {
        /// Steps that were done.
        done: usize,
        /// Steps of the whole chain.
        total: usize,
    },
}

/// Shows `state` to the observer and turns its wish to stop into an error.
fn observe<B: Backend, const D: usize>(
    observer: &mut Observer<'_, B, D>,
    state: State<'_, B, D>,
) -> Result<(), SampleError> {
    let (done, total) = (state.done, state.total);
    match observer(state) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(SampleError::Stopped { done, total }),
    }
}
