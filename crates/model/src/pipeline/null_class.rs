//! The class that stands for "any" in classifier-free guidance.

use sfumato_nets::ConfigError;

use super::{AnyConfig, Facts, Pipeline};
use crate::ModelError;

impl Pipeline {
    /// The same model with `label` as the class that stands for "any": what a network was told in training in place of dropped labels.
    /// diffusers' files have no key for it, so that only who trained the network knows; models made here say it themselves.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] if the network has no classes, `label` is not the last of them, or the model says another.
    pub fn with_null_class(mut self, label: usize) -> Result<Self, ModelError> {
        let unfit = |reason| Err(ModelError::Unfit { option: "null-class", value: label.to_string(), reason });
        let dir = self.dir().display();
        match self.spec.facts.null_class {
            Some(own) if own != label => {
                return unfit(format!("the model in {dir} says itself that {own} stands for \"any\""));
            }
            _ => {}
        }
        match classes(&self.spec.config) {
            0 => return unfit(format!("{dir} is not class-conditional")),
            1 => return unfit(format!("the model in {dir} knows one class alone, which leaves none beside it")),
            known if label + 1 != known => {
                let last = known - 1;
                return unfit(format!(
                    "the model in {dir} knows the classes 0 to {last}, and only the last, {last}, can stand for \"any\""
                ));
            }
            known if self.spec.facts.class_names.len() == known => {
                return unfit(format!("the model in {dir} has names for all of its {known} classes"));
            }
            _ => {}
        }
        self.spec.facts.null_class = Some(label);
        Ok(self)
    }
}

/// How many classes the network knows, with the one for "any".
fn classes(config: &AnyConfig) -> usize {
    match config {
        AnyConfig::UNet(config) => config.num_classes().unwrap_or(0),
        AnyConfig::Mlp(_) | AnyConfig::Own(_) => 0,
    }
}

/// The class that stands for "any" is the last of the table: those before it can be asked for.
pub(super) fn check(config: &AnyConfig, facts: &Facts) -> Result<(), ConfigError> {
    let classes = classes(config);
    let Some(label) = facts.null_class else { return Ok(()) };
    let expected = match classes {
        0 | 1 => format!("no `null_class`, as num_class_embeds = {classes} leaves no class beside it"),
        _ if label >= classes => format!("a `null_class` below num_class_embeds = {classes}"),
        _ if label + 1 < classes => {
            format!("a `null_class` of {}, the last of num_class_embeds = {classes}", classes - 1)
        }
        _ => return Ok(()),
    };
    Err(ConfigError::Value { key: "_sfumato", value: format!("{{\"null_class\":{label}}}"), expected })
}
