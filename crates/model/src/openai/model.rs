//! From flags to a network and a chain.

use std::fmt;

use sfumato_nets::{
    ConfigError,
    unet::{DownBlockType, ResampleType, SampleSize, TimeScaleShift, UNet2DConfig, UpBlockType},
};
use sfumato_process::{ModelVariance, Parameterization};
use sfumato_schedule::{Cosine, Explicit, Linear, ScheduleConfig, ScheduleError};

use super::{OpenAiFlags, Project};
use crate::pipeline::Scheduler;

/// Groups of every group norm in both projects.
const GROUPS: usize = 32;
/// Steps that `rescale_timesteps` maps every chain to.
const RESCALED: usize = 1000;

/// What the flags describe, in the terms of this crate.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The network.
    pub config: UNet2DConfig,
    /// The chain.
    pub scheduler: Scheduler,
    /// What differs from the original and deserves a word.
    pub notes: Vec<Note>,
}

/// Something that is expressed by other means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The chain is a sub-chain of the original's.
    Respaced {
        /// Steps of the original chain.
        steps: usize,
    },
    /// Attentions of different widths have the same number of heads.
    Heads {
        /// That number.
        heads: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Respaced { steps } => write!(
                f,
                "the network was trained on {steps} steps and sees them scaled to 1000: the model is the sub-chain of every \
                 {}th step, whose scaled times are the integers that UNet2DModel takes",
                steps / RESCALED
            ),
            Self::Heads { heads } => write!(
                f,
                "attentions of every width have {heads} heads, which UNet2DModel cannot say: the model runs here, and diffusers \
                 refuses it"
            ),
        }
    }
}

/// Why flags describe nothing that can be expressed here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A flag's value has no counterpart in `UNet2DModel` or its schedulers.
    #[error("--{flag} {value}: {reason}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is in the way.
        reason: String,
    },
    /// The flags make no network.
    #[error("the flags describe no network: {0}")]
    Config(#[from] ConfigError),
    /// The flags make no noise schedule.
    #[error("the flags describe no noise schedule: {0}")]
    Schedule(#[from] ScheduleError),
}

impl OpenAiFlags {
    /// The network and the chain that the flags describe, with as many `classes` (for `class_cond`) and image `channels` as
    /// the checkpoint has.
    ///
    /// # Errors
    /// [`ModelError`] with the flag that cannot be expressed.
    pub fn model(&self, classes: usize, channels: usize) -> Result<Model, ModelError> {
        let multiples = self.multiples()?;
        let widths: Vec<usize> = multiples.iter().map(|&multiple| multiple.saturating_mul(self.num_channels)).collect();
        let attends = self.attended_levels(widths.len())?;
        let (head_dim, heads) = self.heads(&widths, &attends)?;
        let outputs = if self.learn_sigma { 2 * channels } else { channels };
        let config = UNet2DConfig {
            sample_size: Some(SampleSize::Square(self.image_size)),
            in_channels: channels,
            out_channels: outputs,
            flip_sin_to_cos: true,
            freq_shift: 0,
            down_block_types: attends.iter().map(|&attends| self.down(attends)).collect(),
            up_block_types: attends.iter().rev().map(|&attends| self.up(attends)).collect(),
            layers_per_block: self.num_res_blocks,
            downsample_type: self.resampling(),
            upsample_type: self.resampling(),
            dropout: self.dropout,
            attention_head_dim: head_dim,
            attention_heads: heads,
            norm_num_groups: GROUPS,
            // With scale and shift diffusers leaves the norm out unless it is asked for.
            attn_norm_num_groups: Some(GROUPS),
            resnet_time_scale_shift: match self.use_scale_shift_norm {
                true => TimeScaleShift::ScaleShift,
                false => TimeScaleShift::Default,
            },
            num_class_embeds: self.class_cond.then_some(classes),
            block_out_channels: widths,
            ..UNet2DConfig::default()
        };
        config.validate()?;
        let (scheduler, mut notes) = self.scheduler()?;
        notes.extend(heads.map(|heads| Note::Heads { heads }));
        Ok(Model { config, scheduler, notes })
    }

    /// The levels' widths as multiples of `num_channels`.
    fn multiples(&self) -> Result<Vec<usize>, ModelError> {
        if !self.channel_mult.is_empty() {
            return Ok(self.channel_mult.clone());
        }
        let improved = self.project == Project::ImprovedDiffusion;
        let multiples: &[usize] = match self.image_size {
            256 => &[1, 1, 2, 2, 4, 4],
            128 if !improved => &[1, 1, 2, 3, 4],
            64 => &[1, 2, 3, 4],
            32 if improved => &[1, 2, 2, 2],
            512 if !improved => {
                let reason = "the first level has half of num_channels, but the time features have all of them; UNet2DModel \
                              derives both from the first level";
                return Err(flag("image_size", 512, reason));
            }
            other if improved => return Err(flag("image_size", other, "improved-diffusion knows 32, 64 and 256")),
            other => {
                return Err(flag(
                    "image_size",
                    other,
                    "guided-diffusion knows 64, 128, 256 and 512 without --channel_mult",
                ));
            }
        };
        Ok(multiples.to_vec())
    }

    /// Whether each level attends.
    fn attended_levels(&self, levels: usize) -> Result<Vec<bool>, ModelError> {
        // As there: a side stands for the factor `image_size // side`, and a factor that no level has for nothing.
        let zero = self.attention_resolutions.contains(&0);
        if zero {
            return Err(flag("attention_resolutions", 0, "expected sides in pixels"));
        }
        let factors: Vec<usize> = self.attention_resolutions.iter().map(|side| self.image_size / side).collect();
        Ok((0..levels).map(|level| factors.contains(&(1 << level.min(32)))).collect())
    }

    /// Channels of an attention head where they are the same for every attention of the network (none for a single head),
    /// else the number of heads.
    fn heads(&self, widths: &[usize], attends: &[bool]) -> Result<(Option<usize>, Option<usize>), ModelError> {
        // The middle always attends.
        let levels = widths.iter().zip(attends).filter(|&(_, &attends)| attends).map(|(&width, _)| width);
        let attended: Vec<usize> = levels.chain(widths.last().copied()).collect();
        if let Ok(dim) = usize::try_from(self.num_head_channels) {
            let divides = dim > 0 && attended.iter().all(|width| width.is_multiple_of(dim));
            let reason = format!("it does not divide the channels of every attention, {attended:?}");
            return if divides { Ok((Some(dim), None)) } else { Err(flag("num_head_channels", dim, reason)) };
        }
        let heads = self.num_heads;
        if self.num_heads_upsample != -1 && self.num_heads_upsample != heads as i64 {
            let reason = format!("UNet2DModel has one size of heads, and --num_heads is {heads}");
            return Err(flag("num_heads_upsample", self.num_heads_upsample, reason));
        }
        if heads == 1 {
            return Ok((None, None));
        }
        let divides = heads > 0 && attended.iter().all(|width| width.is_multiple_of(heads));
        let same = attended.windows(2).all(|pair| pair[0] == pair[1]);
        match (divides, same) {
            (true, true) => Ok((attended.first().map(|width| width / heads), None)),
            (true, false) => Ok((None, Some(heads))),
            (false, _) => Err(flag(
                "num_heads",
                heads,
                format!("it does not divide the channels of every attention, {attended:?}"),
            )),
        }
    }

    fn resampling(&self) -> ResampleType {
        if self.resblock_updown { ResampleType::Resnet } else { ResampleType::Conv }
    }

    fn down(&self, attends: bool) -> DownBlockType {
        match (attends, self.resblock_updown) {
            (true, _) => DownBlockType::AttnDownBlock2D,
            (false, true) => DownBlockType::ResnetDownsampleBlock2D,
            (false, false) => DownBlockType::DownBlock2D,
        }
    }

    fn up(&self, attends: bool) -> UpBlockType {
        match (attends, self.resblock_updown) {
            (true, _) => UpBlockType::AttnUpBlock2D,
            (false, true) => UpBlockType::ResnetUpsampleBlock2D,
            (false, false) => UpBlockType::UpBlock2D,
        }
    }

    /// The chain; a sub-chain of it where the network sees scaled times.
    fn scheduler(&self) -> Result<(Scheduler, Vec<Note>), ModelError> {
        let steps = self.diffusion_steps;
        let whole: ScheduleConfig = match self.noise_schedule.as_str() {
            "cosine" => Cosine { steps, ..Cosine::default() }.into(),
            _ => Linear { steps, rescale: steps != RESCALED, ..Linear::default() }.into(),
        };
        let mut notes = Vec::new();
        let schedule = if self.rescale_timesteps && steps != RESCALED {
            if !steps.is_multiple_of(RESCALED) || steps == 0 {
                let reason = "with --rescale_timesteps True the network sees 1000 t / T, which are integers for every step \
                              that is needed only if T is a multiple of 1000";
                return Err(flag("diffusion_steps", steps, reason));
            }
            notes.push(Note::Respaced { steps });
            // Steps count from 1 here: times 0, k, 2k, … are steps 1, k + 1, 2k + 1, ….
            let kept: Vec<usize> = (1..=steps).step_by(steps / RESCALED).collect();
            Explicit { betas: whole.build()?.respace(&kept)?.schedule().betas().to_vec() }.into()
        } else {
            whole
        };
        let scheduler = Scheduler {
            schedule,
            parameterization: if self.predict_xstart { Parameterization::X0 } else { Parameterization::Epsilon },
            // A learned variance leaves nothing to `sigma_small`.
            variance: match (self.learn_sigma, self.sigma_small) {
                (true, _) => ModelVariance::LearnedRange,
                (false, true) => ModelVariance::FixedSmall,
                (false, false) => ModelVariance::FixedLarge,
            },
            clip_sample: self.clip_denoised,
            ..Scheduler::default()
        };
        Ok((scheduler, notes))
    }
}

fn flag(flag: &'static str, value: impl ToString, reason: impl Into<String>) -> ModelError {
    ModelError::Flag { flag, value: value.to_string(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(project: Project, text: &str) -> Result<Model, ModelError> {
        OpenAiFlags::parse(project, text).unwrap().model(1000, 3)
    }

    fn fault(project: Project, text: &str) -> String {
        model(project, text).unwrap_err().to_string()
    }

    /// The models whose flags the READMEs print; parameters as the papers count them.
    #[test]
    fn published_models_have_their_published_sizes() {
        use Project::{GuidedDiffusion, ImprovedDiffusion};
        let cifar = "--image_size 32 --num_channels 128 --num_res_blocks 3 --learn_sigma True --dropout 0.3 \
                     --diffusion_steps 4000 --noise_schedule cosine";
        let lsun = "--image_size 256 --num_channels 128 --num_res_blocks 2 --num_heads 1 --learn_sigma True \
                    --use_scale_shift_norm False --attention_resolutions 16 --diffusion_steps 1000 --noise_schedule linear \
                    --rescale_timesteps False";
        let imagenet = "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --dropout 0.1 --image_size 64 \
                        --learn_sigma True --noise_schedule cosine --num_channels 192 --num_head_channels 64 \
                        --num_res_blocks 3 --resblock_updown True --use_new_attention_order True --use_scale_shift_norm True";
        // Heads by number, at levels of 384 and 512 channels.
        let imagenet_2021 = "--image_size 64 --num_channels 128 --num_res_blocks 3 --learn_sigma True --diffusion_steps 4000 \
                             --noise_schedule cosine";
        for (project, flags, millions) in [
            (ImprovedDiffusion, cifar, 52.5),
            (ImprovedDiffusion, imagenet_2021, 121.1),
            (ImprovedDiffusion, lsun, 113.7),
            (GuidedDiffusion, imagenet, 295.9),
        ] {
            let count = model(project, flags).unwrap().config.num_params() as f64 / 1e6;
            assert!((count - millions).abs() < 0.06, "{count}");
        }
    }

    #[test]
    fn scaled_times_become_the_sub_chain_of_integers() {
        let Model { scheduler, notes, config } = model(
            Project::ImprovedDiffusion,
            "--image_size 32 --diffusion_steps 4000 --noise_schedule cosine --learn_sigma 1",
        )
        .unwrap();
        assert_eq!(
            (notes, scheduler.variance, config.out_channels),
            (vec![Note::Respaced { steps: 4000 }], ModelVariance::LearnedRange, 6)
        );
        let (short, long) = (scheduler.schedule.build().unwrap(), Cosine { steps: 4000, ..Cosine::default() });
        let long = ScheduleConfig::from(long).build().unwrap();
        for (step, original) in [(1, 1), (2, 5), (500, 1997), (1000, 3997)] {
            // The same level of noise at the same scaled time.
            assert!((short.alpha_bar(step) / long.alpha_bar(original) - 1.0).abs() < 1e-12, "{step}");
        }
        // T = 1000, and times that are not scaled, stay as they are.
        let whole = model(Project::GuidedDiffusion, "--diffusion_steps 4000 --num_head_channels 64").unwrap();
        assert_eq!((whole.notes.len(), whole.scheduler.schedule.build().unwrap().steps()), (0, 4000));
    }

    #[test]
    fn what_unet2dmodel_cannot_say_is_refused_by_flag() {
        use Project::{GuidedDiffusion, ImprovedDiffusion};
        for (project, text, expected) in [
            (ImprovedDiffusion, "--image_size 64 --num_heads 5", "--num_heads 5: it does not divide"),
            (ImprovedDiffusion, "--image_size 48", "--image_size 48: improved-diffusion knows 32, 64 and 256"),
            (GuidedDiffusion, "--image_size 512 --num_head_channels 64", "--image_size 512: the first level has half"),
            (GuidedDiffusion, "--image_size 32", "--image_size 32: guided-diffusion knows"),
            (GuidedDiffusion, "--num_head_channels 96", "--num_head_channels 96: it does not divide"),
            (
                ImprovedDiffusion,
                "--image_size 32 --num_heads_upsample 2",
                "--num_heads_upsample 2: UNet2DModel has one",
            ),
            (ImprovedDiffusion, "--image_size 32 --diffusion_steps 1500", "--diffusion_steps 1500: with --rescale"),
            (ImprovedDiffusion, "--image_size 32 --diffusion_steps 100", "--diffusion_steps 100: with --rescale"),
            (ImprovedDiffusion, "--image_size 32 --num_channels 100", "`norm_num_groups` is 32"),
            (ImprovedDiffusion, "--image_size 32 --num_channels 0", "block_out_channels"),
            (ImprovedDiffusion, "--image_size 32 --attention_resolutions 0", "--attention_resolutions 0"),
            (GuidedDiffusion, "--channel_mult 1,0 --num_head_channels 64", "block_out_channels"),
        ] {
            let message = fault(project, text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
