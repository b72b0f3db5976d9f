//! The command-line flags of the two projects: names, defaults and types of their `script_util.py`.

/// Which of the two projects made a checkpoint; their defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Project {
    /// openai/improved-diffusion.
    ImprovedDiffusion,
    /// openai/guided-diffusion.
    GuidedDiffusion,
}

/// The flags that decide the network and the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiFlags {
    /// Whose flags they are.
    pub project: Project,
    /// Side of the images in pixels.
    pub image_size: usize,
    /// Channels that the levels' are multiples of.
    pub num_channels: usize,
    /// Residual blocks of an encoder level.
    pub num_res_blocks: usize,
    /// Attention heads, where `num_head_channels` does not decide.
    pub num_heads: usize,
    /// Heads in the decoder; -1 for as many as in the encoder.
    pub num_heads_upsample: i64,
    /// Channels of a head; -1 for a number of heads instead.
    pub num_head_channels: i64,
    /// Sides at which the network attends.
    pub attention_resolutions: Vec<usize>,
    /// Multiples of `num_channels`, level by level; empty for those that go with the image size.
    pub channel_mult: Vec<usize>,
    /// Probability of dropout.
    pub dropout: f64,
    /// Whether the network has a table of classes.
    pub class_cond: bool,
    /// Whether the time gives a scale and a shift, not a bias.
    pub use_scale_shift_norm: bool,
    /// Whether residual blocks change the resolution.
    pub resblock_updown: bool,
    /// Whether `qkv` is cut into queries, keys and values before it is cut into heads.
    pub use_new_attention_order: bool,
    /// Whether the network predicts the variance too.
    pub learn_sigma: bool,
    /// The smaller of the fixed variances.
    pub sigma_small: bool,
    /// Steps `T`.
    pub diffusion_steps: usize,
    /// `linear` or `cosine`.
    pub noise_schedule: String,
    /// Whether the network predicts the clean data.
    pub predict_xstart: bool,
    /// Whether the network sees `1000 t / T`.
    pub rescale_timesteps: bool,
    /// Whether predictions are clipped while sampling.
    pub clip_denoised: bool,
}

/// Flags that do not concern the model: of training, of sampling, of the loss.
const OTHER: [&str; 26] = [
    "anneal_lr",
    "batch_size",
    "classifier_path",
    "classifier_scale",
    "data_dir",
    "ema_rate",
    "fp16_scale_growth",
    "log_interval",
    "lr",
    "lr_anneal_steps",
    "microbatch",
    "model_path",
    "num_samples",
    "rescale_learned_sigmas",
    "resume_checkpoint",
    "save_interval",
    "schedule_sampler",
    "timestep_respacing",
    "use_checkpoint",
    "use_ddim",
    "use_fp16",
    "use_kl",
    "weight_decay",
    "iterations",
    "eval_interval",
    "val_data_dir",
];

/// What is wrong with the flags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagError {
    /// Something that is no `--flag`.
    #[error("`{word}` is no flag, expected --flag VALUE as in the project's README")]
    NotAFlag {
        /// The word.
        word: String,
    },
    /// A flag without its value.
    #[error("--{flag} has no value")]
    NoValue {
        /// The flag.
        flag: String,
    },
    /// A flag that neither project has.
    #[error("--{flag} is no flag of the project's models")]
    Unknown {
        /// The flag.
        flag: String,
    },
    /// A value of the wrong type.
    #[error("--{flag} {value}: expected {expected}")]
    Value {
        /// The flag.
        flag: String,
        /// Its value.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

impl OpenAiFlags {
    /// The project's defaults.
    pub fn defaults(project: Project) -> Self {
        let improved = project == Project::ImprovedDiffusion;
        Self {
            project,
            image_size: 64,
            num_channels: 128,
            num_res_blocks: 2,
            num_heads: 4,
            num_heads_upsample: -1,
            num_head_channels: -1,
            attention_resolutions: vec![16, 8],
            channel_mult: Vec::new(),
            dropout: 0.0,
            class_cond: false,
            use_scale_shift_norm: true,
            resblock_updown: false,
            use_new_attention_order: false,
            learn_sigma: false,
            sigma_small: false,
            diffusion_steps: 1000,
            noise_schedule: "linear".into(),
            predict_xstart: false,
            rescale_timesteps: improved,
            clip_denoised: true,
        }
    }

    /// Reads flags as the READMEs print them: `--flag VALUE --flag=VALUE …`, later ones winning.
    ///
    /// ```
    /// use sfumato_model::openai::{OpenAiFlags, Project};
    /// let text = "--image_size 32 --num_channels 128 --num_res_blocks 3 --learn_sigma True --dropout 0.3";
    /// let flags = OpenAiFlags::parse(Project::ImprovedDiffusion, text)?;
    /// assert!(flags.learn_sigma && flags.rescale_timesteps && flags.image_size == 32);
    /// # Ok::<(), sfumato_model::openai::FlagError>(())
    /// ```
    ///
    /// # Errors
    /// [`FlagError`] for unknown flags and for values of the wrong type.
    pub fn parse(project: Project, text: &str) -> Result<Self, FlagError> {
        let mut flags = Self::defaults(project);
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else { return Err(FlagError::NotAFlag { word: word.into() }) };
            let (flag, value) = match name.split_once('=') {
                Some((flag, value)) => (flag, value),
                None => (name, words.next().ok_or_else(|| FlagError::NoValue { flag: name.into() })?),
            };
            flags.set(flag, value.trim_matches(['"', '\'']))?;
        }
        Ok(flags)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), FlagError> {
        match flag {
            "image_size" => self.image_size = number(flag, value, "a number of pixels")?,
            "num_channels" => self.num_channels = number(flag, value, "a number")?,
            "num_res_blocks" => self.num_res_blocks = number(flag, value, "a number")?,
            "num_heads" => self.num_heads = number(flag, value, "a number")?,
            "num_heads_upsample" => self.num_heads_upsample = number(flag, value, "a number or -1")?,
            "num_head_channels" if self.project == Project::GuidedDiffusion => {
                self.num_head_channels = number(flag, value, "a number or -1")?;
            }
            "attention_resolutions" => self.attention_resolutions = list(flag, value)?,
            "channel_mult" if self.project == Project::GuidedDiffusion => self.channel_mult = list(flag, value)?,
            "dropout" => self.dropout = number(flag, value, "a probability")?,
            "class_cond" => self.class_cond = truth(flag, value)?,
            "use_scale_shift_norm" => self.use_scale_shift_norm = truth(flag, value)?,
            "resblock_updown" if self.project == Project::GuidedDiffusion => {
                self.resblock_updown = truth(flag, value)?;
            }
            "use_new_attention_order" if self.project == Project::GuidedDiffusion => {
                self.use_new_attention_order = truth(flag, value)?;
            }
            "learn_sigma" => self.learn_sigma = truth(flag, value)?,
            "sigma_small" if self.project == Project::ImprovedDiffusion => self.sigma_small = truth(flag, value)?,
            "diffusion_steps" => self.diffusion_steps = number(flag, value, "a number of steps")?,
            "noise_schedule" if ["linear", "cosine"].contains(&value) => self.noise_schedule = value.into(),
            "noise_schedule" => return Err(wrong(flag, value, "linear or cosine")),
            "predict_xstart" => self.predict_xstart = truth(flag, value)?,
            "rescale_timesteps" => self.rescale_timesteps = truth(flag, value)?,
            "clip_denoised" => self.clip_denoised = truth(flag, value)?,
            other if OTHER.contains(&other) => {}
            unknown => return Err(FlagError::Unknown { flag: unknown.chars().take(80).collect() }),
        }
        Ok(())
    }
}

fn wrong(flag: &str, value: &str, expected: &'static str) -> FlagError {
    FlagError::Value { flag: flag.into(), value: value.chars().take(80).collect(), expected }
}

fn number<T: std::str::FromStr>(flag: &str, value: &str, expected: &'static str) -> Result<T, FlagError> {
    value.parse().map_err(|_| wrong(flag, value, expected))
}

fn list(flag: &str, value: &str) -> Result<Vec<usize>, FlagError> {
    let parts = value.split(',').filter(|part| !part.is_empty());
    parts.map(|part| number(flag, part.trim(), "numbers with commas between them")).collect()
}

/// Truth as argparse reads it there.
fn truth(flag: &str, value: &str) -> Result<bool, FlagError> {
    match value.to_lowercase().as_str() {
        "yes" | "true" | "t" | "y" | "1" => Ok(true),
        "no" | "false" | "f" | "n" | "0" => Ok(false),
        _ => Err(wrong(flag, value, "True or False")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        OpenAiFlags::parse(Project::ImprovedDiffusion, text).unwrap_err().to_string()
    }

    #[test]
    fn the_flags_of_a_readme_are_understood() {
        let text = "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --dropout 0.1 --image_size 64 \
                    --learn_sigma True --noise_schedule cosine --num_channels 192 --num_head_channels 64 --num_res_blocks 3 \
                    --resblock_updown True --use_new_attention_order True --use_fp16 True --use_scale_shift_norm True";
        let flags = OpenAiFlags::parse(Project::GuidedDiffusion, text).unwrap();
        let expected = OpenAiFlags {
            attention_resolutions: vec![32, 16, 8],
            class_cond: true,
            dropout: 0.1,
            learn_sigma: true,
            noise_schedule: "cosine".into(),
            num_channels: 192,
            num_head_channels: 64,
            num_res_blocks: 3,
            resblock_updown: true,
            use_new_attention_order: true,
            ..OpenAiFlags::defaults(Project::GuidedDiffusion)
        };
        assert_eq!(flags, expected);
        assert_eq!(
            OpenAiFlags::parse(Project::GuidedDiffusion, " --lr=1e-4  --batch_size 7").unwrap(),
            OpenAiFlags::defaults(Project::GuidedDiffusion)
        );
    }

    #[test]
    fn what_is_no_flag_or_no_value_is_named() {
        assert!(fault("image_size 64").contains("`image_size` is no flag"));
        assert!(fault("--image_size").contains("--image_size has no value"));
        assert!(fault("--image_size big").contains("--image_size big: expected a number of pixels"));
        assert!(fault("--large_size 256").contains("--large_size is no flag"));
        assert!(fault("--learn_sigma maybe").contains("True or False"));
        assert!(fault("--noise_schedule sigmoid").contains("linear or cosine"));
        assert!(fault("--attention_resolutions 16;8").contains("16;8"));
        // A flag of the other project.
        assert!(fault("--num_head_channels 64").contains("--num_head_channels is no flag"));
    }
}
