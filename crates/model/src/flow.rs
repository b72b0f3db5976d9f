//! The likelihood of data by the flow of a model's network.

use std::ops::ControlFlow;

use burn::tensor::{Element, Tensor};
use sfumato_kernels::{AutodiffBackend, KeptFilters};
use sfumato_nets::Network;
use sfumato_process::{
    Chain,
    bound::Examples,
    flow::{Differentiated, FlowLikelihood, FlowPlan, FlowProgress, estimate_flow},
};

use crate::{Model, ModelError, Net};

impl<A: AutodiffBackend> Model<A> {
    /// The negative log-likelihood of `examples` by the probability-flow ODE ([`estimate_flow`]), where `classes` gives a class-conditional network the
    /// classes of the examples with these [ids](Examples::id), and others nothing.
    ///
    /// The backend differentiates by the network's input. No gradient of its parameters is computed.
    ///
    /// # Errors
    /// [`ModelError::Flow`].
    ///
    /// # Panics
    /// If the network does not fit the examples, or the classes are not what it wants.
    pub fn flow(
        &self,
        chain: &Chain,
        plan: &FlowPlan,
        examples: &dyn Examples,
        classes: &dyn Fn(&[usize]) -> Option<Vec<usize>>,
        batch_size: usize,
        observe: &mut dyn FnMut(FlowProgress) -> ControlFlow<()>,
    ) -> Result<FlowLikelihood, ModelError> {
        let work = Work { chain, plan, examples, classes, batch_size };
        match self.net() {
            Net::UNet(net) => work.run::<A, _, 4>(net, self.device(), observe),
            Net::Mlp(net) => work.run::<A, _, 2>(net, self.device(), observe),
        }
    }
}

/// What is computed, whatever the network.
struct Work<'a> {
    chain: &'a Chain,
    plan: &'a FlowPlan,
    examples: &'a dyn Examples,
    classes: &'a dyn Fn(&[usize]) -> Option<Vec<usize>>,
    batch_size: usize,
}

impl Work<'_> {
    fn run<A: AutodiffBackend, N: Network<A, D>, const D: usize>(
        &self,
        net: &N,
        device: &A::Device,
        observe: &mut dyn FnMut(FlowProgress) -> ControlFlow<()>,
    ) -> Result<FlowLikelihood, ModelError> {
        let _kept = KeptFilters::new();
        let net = net.clone().no_grad();
        let predict = |x_t: Tensor<A, D>, t: &[f64], ids: &[usize]| {
            net.forward_between(x_t, t, (self.classes)(ids).as_deref(), None)
        };
        let (shape, dtype) = (self.examples.shape(), <A::FloatElem as Element>::dtype());
        let field = Differentiated { predict: &predict, shape, device, dtype };
        Ok(estimate_flow(self.chain, &field, self.plan, self.examples, self.batch_size, observe)?)
    }
}
