//! Whether a network is one that the commands can run: said before anything is loaded.

use anyhow::{Context, Result, bail};
use sfumato_model::pipeline::{AnyConfig, Pipeline};
use sfumato_nets::unet::ClassEmbedType;

use crate::args::UsageError;

/// Refuses networks that answer with neither as many channels as they are shown, nor twice as many where the variance is learned.
pub(crate) fn check_channels(model: &Pipeline) -> Result<()> {
    let AnyConfig::UNet(config) = &model.spec.config else { return Ok(()) };
    let (shown, answered) = (config.in_channels, config.out_channels);
    let variance = model.spec.scheduler.variance;
    let learned = variance.learned().is_some();
    let fits = answered == 2 * shown || (answered == shown && !learned);
    if !fits {
        let (dir, twice) = (model.dir().display(), 2 * shown);
        let expected = if learned {
            format!("{twice}, as the variance is {}", variance.name())
        } else {
            format!("{shown}, or {twice} with a learned variance")
        };
        bail!(
            "{dir}: the network has in_channels {shown} and out_channels {answered}, expected out_channels {expected}"
        );
    }
    Ok(())
}

/// Shape of one example that the model draws or scores: images of the size `asked`, or else of the one in its configuration.
///
/// # Errors
/// If neither says a size, or the network does not take it; the message names the way out.
pub(crate) fn example_shape(model: &Pipeline, asked: Option<[usize; 2]>) -> Result<Vec<usize>> {
    let dir = model.dir().display();
    let AnyConfig::UNet(config) = &model.spec.config else {
        if let Some([height, width]) = asked {
            return Err(
                UsageError(format!("--image-size {height}x{width}: the model in {dir} is not one of images")).into()
            );
        }
        return model.spec.config.example_shape().with_context(|| format!("{dir}: the size of examples is not known"));
    };
    match model.spec.config.image_size(asked) {
        Ok(Some([height, width])) => Ok(vec![config.in_channels, height, width]),
        Ok(None) => bail!(
            "{dir}: its config.json has no sample_size (the size of images in pixels); give it with `sample --image-size`, or write it \
             into config.json"
        ),
        Err(_) => {
            let divisor = config.size_divisor();
            let [height, width] = asked.or(config.sample_size.map(|size| size.height_width())).unwrap_or_default();
            let fits = [height, width].map(|side| side.next_multiple_of(divisor).max(divisor));
            let why =
                format!("the network takes multiples of {divisor} pixels a side, such as {}x{}", fits[0], fits[1]);
            match asked {
                Some(_) => Err(UsageError(format!("--image-size {height}x{width}: {why}")).into()),
                None => bail!(
                    "{dir}: sample_size is {height}x{width} in its config.json, but {why}; `sample --image-size` gives another size"
                ),
            }
        }
    }
}

/// How a network is told the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// Not at all.
    None,
    /// By a number below this one.
    Below(usize),
    /// By any number.
    Any,
}

/// How the model is told the class, of those that can be asked for by name.
///
/// # Errors
/// If it wants an embedding in place of a number.
pub(crate) fn labels(model: &Pipeline) -> Result<Labels> {
    let AnyConfig::UNet(config) = &model.spec.config else { return Ok(Labels::None) };
    match config.class_embed_type {
        Some(ClassEmbedType::Identity) => bail!(
            "{}: the network wants an embedding of the class (class_embed_type identity), but only classes by number are supported",
            model.dir().display()
        ),
        Some(ClassEmbedType::Timestep) => Ok(Labels::Any),
        _ => Ok(model.named_classes().map_or(Labels::None, Labels::Below)),
    }
}
