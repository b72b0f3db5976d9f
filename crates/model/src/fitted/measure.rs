//! The pass over data, whatever the network.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sfumato_kernels::{Backend, KeptFilters};
use sfumato_nets::Network;
use sfumato_process::{
    Chain,
    bound::{Examples, Progress},
    fit::{MeasurePlan, Measured, measure},
};

use crate::{Model, ModelError, Net};

impl<B: Backend> Model<B> {
    /// Measures on `examples` what a [fit](crate::pipeline::Pipeline::write_fit) is made of, with the model's parameterisation and clipping;
    /// `classes` gives a class-conditional network the classes of the examples with these [ids](Examples::id), and others nothing.
    ///
    /// # Errors
    /// [`ModelError::Fit`] for a model whose variance is learned, [`ModelError::Bound`] as [`measure`](fn@measure).
    pub fn measure(
        &self,
        plan: &MeasurePlan<'_>,
        examples: &dyn Examples,
        classes: &dyn Fn(&[usize]) -> Option<Vec<usize>>,
        batch_size: usize,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Measured, ModelError> {
        self.pipeline().check_fittable()?;
        let chain = self.chain()?;
        let work = Work { chain: &chain, plan, examples, classes, batch_size };
        match self.net() {
            Net::UNet(net) => work.run::<B, _, 4>(net, self.device(), observe),
            Net::Mlp(net) => work.run::<B, _, 2>(net, self.device(), observe),
        }
    }
}

struct Work<'a> {
    chain: &'a Chain,
    plan: &'a MeasurePlan<'a>,
    examples: &'a dyn Examples,
    classes: &'a dyn Fn(&[usize]) -> Option<Vec<usize>>,
    batch_size: usize,
}

impl Work<'_> {
    fn run<B: Backend, N: Network<B, D>, const D: usize>(
        &self,
        net: &N,
        device: &B::Device,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Measured, ModelError> {
        let _kept = KeptFilters::new();
        let predict = |x_t: Tensor<B, D>, t: &[usize], ids: &[usize]| {
            net.forward_at(x_t, t, (self.classes)(ids).as_deref(), None)
        };
        let Self { chain, plan, examples, batch_size, .. } = *self;
        Ok(measure::<B, D>(chain, &predict, plan, examples, batch_size, device, observe)?)
    }
}
