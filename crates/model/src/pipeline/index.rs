//! `model_index.json`: which classes the parts of a pipeline are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sfumato_nets::ConfigError;

use super::{PipelineError, own::OWN};
use crate::json;

/// Parts of pipelines that draw pictures of a text.
const TEXT: [&str; 5] = ["text_encoder", "tokenizer", "transformer", "prior", "image_encoder"];
/// Said of such pipelines.
pub(super) const TEXT_TO_IMAGE: &str =
    "; text-to-image models are out of scope: unconditional and class-conditional models of images are supported";

/// An index that was read and checked.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) path: PathBuf,
    /// The class of the scheduler, if the index names one.
    pub(super) scheduler: Option<String>,
}

impl Index {
    /// Reads the index at `path`, if there is one. Pipelines with more parts than a network and a scheduler are refused: their
    /// samples would not be the network's.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, PipelineError> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(None);
        }
        let index = json::read(path)?;
        let Some(map) = index.as_object() else {
            let source = ConfigError::NotAnObject { found: index.to_string().chars().take(80).collect() };
            return Err(PipelineError::Config { path: path.into(), source });
        };
        let is_text = map.keys().any(|key| TEXT.contains(&key.as_str()));
        for (component, class) in map {
            let name = class.get(1).and_then(Value::as_str);
            let fits = match component.as_str() {
                private if private.starts_with('_') => true,
                "unet" => matches!(name, Some("UNet2DModel" | "SfumatoMLP")) || class.get(0) == Some(&OWN.into()),
                "scheduler" => name.is_some(),
                // Settings of the pipeline, and components that are left out.
                _ => !class.is_array() || class == &serde_json::json!([null, null]),
            };
            if !fits {
                let is_text = is_text || name == Some("UNet2DConditionModel");
                return Err(PipelineError::Component {
                    path: path.into(),
                    component: component.clone(),
                    class: class.to_string().chars().take(80).collect(),
                    hint: if is_text { TEXT_TO_IMAGE } else { "" },
                });
            }
        }
        let scheduler = map.get("scheduler").and_then(|class| class.get(1)).and_then(Value::as_str);
        Ok(Some(Self { path: path.into(), scheduler: scheduler.map(str::to_owned) }))
    }
}
