//! What a model draws, and whether it can: known before any weight is read.

use sfumato_nets::unet::ClassEmbedType;

use super::{AnyConfig, Pipeline};
use crate::ModelError;

/// How a model is told the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Not at all.
    None,
    /// By a number below this one.
    Below(usize),
    /// By any number.
    Any,
}

impl Pipeline {
    /// How the model is told the class, of those that can be asked for by name.
    ///
    /// # Errors
    /// [`ModelError::Model`] if it wants an embedding in place of a number.
    pub fn labels(&self) -> Result<Labels, ModelError> {
        let AnyConfig::UNet(config) = &self.spec.config else { return Ok(Labels::None) };
        match config.class_embed_type {
            Some(ClassEmbedType::Identity) => self.unusable(
                "the network wants an embedding of the class (class_embed_type identity), but only classes by number are supported",
            ),
            Some(ClassEmbedType::Timestep) => Ok(Labels::Any),
            _ => Ok(self.named_classes().map_or(Labels::None, Labels::Below)),
        }
    }

    /// The number of the class that is called `name`, in any case where that is enough to tell it from the others.
    pub fn class_by_name(&self, name: &str) -> Option<usize> {
        let names = &self.spec.facts.class_names;
        let same = |known: &&String| known.to_lowercase() == name.to_lowercase();
        let only = names.iter().filter(same).count() == 1;
        names.iter().position(|known| known == name || (only && same(&known)))
    }

    /// Refuses networks that answer with neither as many channels as they are shown, nor twice as many where the variance is learned.
    ///
    /// # Errors
    /// [`ModelError::Model`].
    pub fn check_channels(&self) -> Result<(), ModelError> {
        let AnyConfig::UNet(config) = &self.spec.config else { return Ok(()) };
        let (shown, answered) = (config.in_channels, config.out_channels);
        let variance = self.spec.scheduler.variance;
        let learned = variance.learned().is_some();
        if answered == 2 * shown || (answered == shown && !learned) {
            return Ok(());
        }
        let twice = 2 * shown;
        let expected = if learned {
            format!("{twice}, as the variance is {}", variance.name())
        } else {
            format!("{shown}, or {twice} with a learned variance")
        };
        self.unusable(&format!(
            "the network has in_channels {shown} and out_channels {answered}, expected out_channels {expected}"
        ))
    }

    /// Shape of one example that the model draws or scores: images of the size `asked` (height and width in pixels), or else of the one in
    /// its configuration.
    ///
    /// # Errors
    /// [`ModelError`] if neither says a size, or the network does not take it; the message names the way out.
    pub fn example_shape(&self, asked: Option<[usize; 2]>) -> Result<Vec<usize>, ModelError> {
        let value = |[height, width]: [usize; 2]| format!("{height}x{width}");
        let AnyConfig::UNet(config) = &self.spec.config else {
            if let Some(size) = asked {
                let reason = format!("the model in {} is not one of images", self.dir().display());
                return Err(ModelError::Value { option: "image-size", value: value(size), reason });
            }
            return match self.spec.config.example_shape() {
                Some(shape) => Ok(shape),
                None => self.unusable("the size of examples is not known"),
            };
        };
        match self.spec.config.image_size(asked) {
            Ok(Some([height, width])) => Ok(vec![config.in_channels, height, width]),
            Ok(None) => self.unusable(
                "its config.json has no sample_size (the size of images in pixels); give it with `sample --image-size`, or write it \
                 into config.json",
            ),
            Err(_) => {
                let divisor = config.size_divisor();
                let size = asked.or(config.sample_size.map(|size| size.height_width())).unwrap_or_default();
                let fits = size.map(|side| side.next_multiple_of(divisor).max(divisor));
                let why = format!("the network takes multiples of {divisor} pixels a side, such as {}", value(fits));
                match asked {
                    Some(size) => Err(ModelError::Value { option: "image-size", value: value(size), reason: why }),
                    None => self.unusable(&format!(
                        "sample_size is {} in its config.json, but {why}; `sample --image-size` gives another size",
                        value(size)
                    )),
                }
            }
        }
    }

    /// The error of a model that cannot be used as it is.
    pub(crate) fn unusable<T>(&self, reason: &str) -> Result<T, ModelError> {
        Err(ModelError::Model { dir: self.dir().to_owned(), reason: reason.to_owned() })
    }
}
