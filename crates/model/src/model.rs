//! A model that has been opened.

use std::{ops::ControlFlow, path::Path};

use burn::tensor::{Tensor, backend};
use sfumato_kernels::{Backend, Precision};
use sfumato_nets::{Call, InputError, Network, mlp::Mlp, unet::UNet2D};
use sfumato_process::{
    Chain,
    bound::{Decoder, Examples},
};

use crate::{
    ModelError, Sampling, Scoring,
    pipeline::{AnyConfig, Labels, Pipeline},
    sampling::{Encoding, Pictures, Progress, SamplePlan, draw_batches, encode_batches},
};

/// A trained model with its weights on a device: it samples and it scores.
///
/// # Examples
/// Sixteen pictures as bytes. Any backend of Burn will do in place of `Flex`.
/// ```no_run
/// use burn::backend::Flex;
/// use sfumato_model::Model;
///
/// let model = Model::<Flex>::open("runs/fashion-mnist-mini")?;
/// let samples = model.sample(16).steps(20).seed(7).draw()?;
/// for i in 0..samples.len() {
///     println!("{} bytes", samples.to_rgb8(i)?.len());
/// }
/// # Ok::<(), sfumato_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Model<B: Backend> {
    pipeline: Pipeline,
    net: Net<B>,
    device: B::Device,
}

/// The networks that a model can have.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a program holds one or two of these; a box would only be in the way")]
pub enum Net<B: Backend> {
    /// For images.
    UNet(UNet2D<B>),
    /// For points.
    Mlp(Mlp<B>),
}

/// What is seen of a drawing after each step of each batch.
pub struct Step<'a> {
    /// Index of the batch's first sample.
    pub first: usize,
    /// Steps done in this batch, `1..=total`.
    pub done: usize,
    /// Steps of the sampler.
    pub total: usize,
    state: &'a dyn Fn() -> Vec<f32>,
    prediction: &'a dyn Fn() -> Vec<f32>,
}

impl Step<'_> {
    /// The state of the batch on the host, one sample after the other.
    pub fn state(&self) -> Vec<f32> {
        (self.state)()
    }

    /// The prediction of the clean data that the step was made with, on the host: what the batch will look like, as far as it is known yet.
    pub fn prediction(&self) -> Vec<f32> {
        (self.prediction)()
    }
}

impl<B: Backend> Model<B> {
    /// Opens the model in a directory on the backend's default device: a pipeline, a part of one, a run; see [`Pipeline::open`].
    ///
    /// # Errors
    /// [`ModelError::Pipeline`] that names the file if there is no model, or it is damaged or not supported.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::load(Pipeline::open(dir.as_ref())?, &B::Device::default())
    }

    /// Loads the weights of a pipeline whose configuration has been read already.
    ///
    /// # Errors
    /// [`ModelError::Pipeline`] if the weights are damaged, or not those of the configuration.
    pub fn load(pipeline: Pipeline, device: &B::Device) -> Result<Self, ModelError> {
        let net = match &pipeline.spec.config {
            AnyConfig::UNet(_) => Net::UNet(pipeline.load_unet(device)?),
            AnyConfig::Mlp(_) => Net::Mlp(pipeline.load_mlp(device)?),
            AnyConfig::Own(own) => {
                return pipeline.unusable(&format!(
                    "the network {} can only be built by the program that defines it",
                    own.class_name
                ));
            }
        };
        Ok(Self { pipeline, net, device: device.clone() })
    }

    /// The same with convolutions that multiply in `precision`. Samples and bounds of two precisions differ a little.
    #[must_use]
    pub fn in_precision(mut self, precision: Precision) -> Self {
        if let Net::UNet(net) = &mut self.net {
            net.set_precision(precision);
        }
        self
    }

    /// The directory that it came from: configuration, scheduler, names of classes, choices that were made.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The network.
    pub fn net(&self) -> &Net<B> {
        &self.net
    }

    /// The denoiser of a model of images, for samplers of one's own: with a class for each example of a batch if the model is
    /// class-conditional, else without.
    ///
    /// # Errors
    /// [`ModelError::Model`] for a model of points, [`ModelError::Input`] for classes that are missing, too many, or unknown to the model.
    pub fn images<'a>(&'a self, classes: Option<&'a [usize]>) -> Result<Call<'a, UNet2D<B>>, ModelError> {
        let Net::UNet(net) = &self.net else {
            return self.pipeline.unusable("it is a model of points, not of images");
        };
        match (self.pipeline.labels()?, classes) {
            (Labels::None, None) | (Labels::Any, Some(_)) => {}
            (Labels::None, Some(_)) => return Err(InputError::UnexpectedClasses.into()),
            (_, None) => return Err(InputError::MissingClasses.into()),
            (Labels::Below(known), Some(classes)) => {
                // The class that stands for "any" comes after those that have names.
                let last = known + usize::from(self.pipeline.spec.facts.null_class.is_some()) - 1;
                if let Some(&label) = classes.iter().find(|&&label| label > last) {
                    return Err(InputError::ClassLabel { label, last }.into());
                }
            }
        }
        Ok(Call { net, classes, dropout: None })
    }

    /// The denoiser of a model of points.
    ///
    /// # Errors
    /// [`ModelError::Model`] for a model of images.
    pub fn points(&self) -> Result<&Mlp<B>, ModelError> {
        match &self.net {
            Net::Mlp(net) => Ok(net),
            Net::UNet(_) => self.pipeline.unusable("it is a model of images, not of points"),
        }
    }

    /// The reverse chain over all steps that the model was trained on, with its variance and its clipping.
    ///
    /// # Errors
    /// [`ModelError::Schedule`] if the schedule cannot be built.
    pub fn chain(&self) -> Result<Chain, ModelError> {
        let schedule = self.pipeline.spec.scheduler.noise_schedule()?;
        Ok(self.pipeline.spec.scheduler.evenly_spaced_chain(schedule.steps())?)
    }

    /// Where the weights are.
    pub fn device(&self) -> &B::Device {
        &self.device
    }

    /// Draws `num` samples: say how with the methods of [`Sampling`], then [`draw`](Sampling::draw).
    pub fn sample(&self, num: usize) -> Sampling<'_, B> {
        Sampling::new(self, num)
    }

    /// Scores the model on `examples` by the variational bound: say how with the methods of [`Scoring`], then [`run`](Scoring::run).
    ///
    /// `decoder` is what the first step is: discretised for 8-bit images, a density for other data.
    pub fn score<'a>(&'a self, examples: &'a dyn Examples, decoder: Decoder) -> Scoring<'a, B> {
        Scoring::new(self, examples, decoder)
    }

    /// Draws what `plan` says, batch by batch: each finished one goes to `keep`, in order. Both callbacks may stop the work.
    ///
    /// # Errors
    /// [`ModelError::Sample`] from the noise, or if `observe` stops a batch; the batches before were kept.
    pub fn draw(
        &self,
        plan: &SamplePlan<'_>,
        observe: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
        keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
    ) -> Result<(), ModelError> {
        match &self.net {
            Net::UNet(net) => drawn::<B, _, 4>(net, plan, &self.device, observe, keep),
            Net::Mlp(net) => drawn::<B, _, 2>(net, plan, &self.device, observe, keep),
        }
    }

    /// The noise that the sampler of a plan makes `pictures` from, batch by batch, each to `keep`, in order: sample `n` of the plan is picture `n`.
    /// As entry 0 of recorded noise it leads back to the pictures.
    ///
    /// # Errors
    /// [`ModelError::Sample`] if `observe` stops a batch; the batches before were kept.
    pub fn encode(
        &self,
        how: (&SamplePlan<'_>, Encoding),
        pictures: Pictures<'_>,
        observe: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
        keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
    ) -> Result<(), ModelError> {
        match &self.net {
            Net::UNet(net) => encoded::<B, _, 4>(net, how, pictures, &self.device, observe, keep),
            Net::Mlp(net) => encoded::<B, _, 2>(net, how, pictures, &self.device, observe, keep),
        }
    }
}

fn encoded<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    how: (&SamplePlan<'_>, Encoding),
    pictures: Pictures<'_>,
    device: &B::Device,
    observe: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
    keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
) -> Result<(), ModelError> {
    let mut observe = |progress: Progress<'_, B, D>| {
        let Progress { first, done, total, .. } = progress;
        observe(Step { first, done, total, state: &|| host(progress.x), prediction: &|| host(progress.x_0) })
    };
    Ok(encode_batches(net, how, pictures, device, &mut observe, keep)?)
}

fn drawn<B: Backend, N: Network<B, D>, const D: usize>(
    net: &N,
    plan: &SamplePlan<'_>,
    device: &B::Device,
    observe: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
    keep: &mut dyn FnMut(Vec<f32>) -> ControlFlow<()>,
) -> Result<(), ModelError> {
    let mut observe = |progress: Progress<'_, B, D>| {
        let Progress { first, done, total, .. } = progress;
        observe(Step { first, done, total, state: &|| host(progress.x), prediction: &|| host(progress.x_0) })
    };
    Ok(draw_batches(net, plan, device, &mut observe, keep)?)
}

fn host<B: backend::Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f32> {
    x.to_data().convert::<f32>().into_vec::<f32>().expect("the data was just converted to f32")
}
