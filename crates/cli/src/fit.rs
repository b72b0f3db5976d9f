//! Whether a network is one that the commands can run: said before anything is loaded.

use anyhow::{Result, bail};
use sfumato_nets::{
    pipeline::{AnyConfig, Pipeline},
    unet::ClassEmbedType,
};

/// Refuses networks that answer with neither as many channels as they are shown, nor twice as many where the variance is learned.
pub(crate) fn check_channels(model: &Pipeline) -> Result<()> {
    let AnyConfig::UNet(config) = &model.spec.config else { return Ok(()) };
    let (shown, answered) = (config.in_channels, config.out_channels);
    let learned = model.spec.scheduler.learned_range;
    let fits = answered == 2 * shown || (answered == shown && !learned);
    if !fits {
        let (dir, twice) = (model.dir().display(), 2 * shown);
        let expected = if learned {
            format!("{twice}, as variance_type is learned_range")
        } else {
            format!("{shown}, or {twice} with a learned variance")
        };
        bail!(
            "{dir}: the network has in_channels {shown} and out_channels {answered}, expected out_channels {expected}"
        );
    }
    Ok(())
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
        _ => Ok(sfumato_train::model::named_classes(model).map_or(Labels::None, Labels::Below)),
    }
}
