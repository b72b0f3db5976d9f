//! Class conditioning.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use sfumato_kernels::Backend;

use super::{ClassEmbedType, UNet2DConfig, time::TimeProjection};
use crate::{
    InputError,
    layers::{Activation, Linear, in_type_of, look_up},
    params::{Builder, Init},
};

/// What a class-conditional network is told beside the time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Condition<'a, B: Backend> {
    /// Nothing: for unconditional networks.
    None,
    /// A class label for each example.
    Classes(&'a [usize]),
    /// An embedding for each example, `[batch, time_embed_dim]`: for `class_embed_type` = identity.
    Embedding(Tensor<B, 2>),
}

/// From labels to vectors that are added to the time embedding.
///
/// A learned table (`weight`) or an embedding of the label's time features (`linear_1`, `linear_2`), in one struct because
/// diffusers keeps either under the same name. No parameters where the caller gives the embedding.
#[derive(Module, Debug)]
pub struct ClassEmbedding<B: Backend> {
    /// The learned table, `[classes, time_embed_dim]`.
    pub weight: Option<Param<Tensor<B, 2>>>,
    /// First layer of the embedding of features.
    pub linear_1: Option<Linear<B>>,
    /// Second layer of the embedding of features.
    pub linear_2: Option<Linear<B>>,
    kind: ClassKind,
    dim: usize,
}

/// How labels are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClassKind {
    Table { classes: usize },
    Features,
    Identity,
}

impl<B: Backend> ClassEmbedding<B> {
    /// The class embedding that `config` asks for, if any.
    pub(super) fn new(b: &mut Builder<B>, config: &UNet2DConfig) -> Option<Self> {
        let dim = config.time_embed_dim();
        let kind = match (config.class_embed_type, config.num_class_embeds) {
            (None, None) => return None,
            (None, Some(classes)) => ClassKind::Table { classes },
            (Some(ClassEmbedType::Timestep), _) => ClassKind::Features,
            (Some(ClassEmbedType::Identity), _) => ClassKind::Identity,
        };
        let mut embedding = Self { weight: None, linear_1: None, linear_2: None, kind, dim };
        b.within("class_embedding", |b| match kind {
            ClassKind::Table { classes } => {
                embedding.weight = Some(b.param("weight", [classes, dim], Init::Normal(1.0)));
            }
            ClassKind::Features => {
                let features = config.time_feature_dim();
                embedding.linear_1 = Some(b.within("linear_1", |b| Linear::new(b, features, dim)));
                embedding.linear_2 = Some(b.within("linear_2", |b| Linear::new(b, dim, dim)));
            }
            ClassKind::Identity => {}
        });
        Some(embedding)
    }

    /// Checks a condition for a batch.
    pub(super) fn check(&self, condition: &Condition<B>, batch: usize) -> Result<(), InputError> {
        let (kind, dim) = (self.kind, self.dim);
        let vector = |found: String| Err(InputError::ClassVector { batch, dim, found });
        match (condition, kind) {
            (Condition::None, _) => Err(InputError::MissingClasses),
            (Condition::Classes(_), ClassKind::Identity) => vector("class labels".into()),
            (Condition::Classes(labels), _) if labels.len() != batch => {
                Err(InputError::ClassCount { batch, found: labels.len() })
            }
            (Condition::Classes(labels), ClassKind::Table { classes }) => {
                match labels.iter().find(|&&label| label >= classes) {
                    Some(&label) => Err(InputError::ClassLabel { label, last: classes - 1 }),
                    None => Ok(()),
                }
            }
            (Condition::Classes(_), ClassKind::Features) => Ok(()),
            (Condition::Embedding(given), ClassKind::Identity) if given.dims() == [batch, dim] => Ok(()),
            (Condition::Embedding(given), _) => vector(format!("an embedding of shape {:?}", given.dims())),
        }
    }

    /// The vectors to add to the time embedding, `[batch, time_embed_dim]`; `None` for an unfit condition.
    pub(super) fn forward(
        &self,
        condition: Condition<B>,
        time_proj: &TimeProjection<B>,
        device: &B::Device,
    ) -> Option<Tensor<B, 2>> {
        match condition {
            Condition::None => None,
            Condition::Embedding(embedding) => Some(embedding),
            Condition::Classes(labels) => match (&self.weight, &self.linear_1, &self.linear_2) {
                (Some(table), _, _) => Some(look_up(table.val(), labels)),
                (None, Some(linear_1), Some(linear_2)) => {
                    let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
                    let features = in_type_of(time_proj.forward(&labels, device), &linear_1.weight.val());
                    Some(linear_2.forward(Activation::Silu.forward(linear_1.forward(features))))
                }
                _ => None,
            },
        }
    }
}
