//! What only the data decides: the network, the loss, whether the schedule suits.

use sfumato_data::Dataset;
use sfumato_model::pipeline::{AnyConfig, OwnConfig};
use sfumato_nets::unet::UNet2DConfig;
use sfumato_process::{DiffusionObjective, Parameterization, bound::Decoder};
use sfumato_schedule::{CheckConditions, Finding, Severity, probability::LikelihoodCdf};

use super::{DiffusionConfig, ModelConfig, TrainConfig, model};
use crate::TrainError;

impl TrainConfig {
    /// The loss on `data`: with the decoder for 256 levels where the data has them.
    pub fn objective(&self, data: &dyn Dataset) -> DiffusionObjective {
        let DiffusionConfig { parameterization, variance, .. } = self.diffusion;
        DiffusionObjective {
            parameterization,
            variance,
            loss: self.objective.loss(&self.diffusion),
            weight: self.objective.weight,
            decoder: if data.is_discrete() { Decoder::Discretized(LikelihoodCdf::Exact) } else { Decoder::Gaussian },
        }
    }

    /// Checks that the network can be trained on `data`.
    ///
    /// # Errors
    /// [`TrainError::ConfigValue`] if the network does not fit its shape or its labels.
    pub fn check_data(&self, data: &dyn Dataset) -> Result<(), TrainError> {
        let pictures = data.shape().len() == 3;
        super::check(
            "data.flip",
            self.data.flip,
            pictures || !self.data.flip,
            "false for points, which have no left and right",
        )?;
        self.network(data).map(drop)
    }

    /// The network that is trained on `data`.
    ///
    /// # Errors
    /// As [`TrainConfig::check_data`].
    pub fn network(&self, data: &dyn Dataset) -> Result<AnyConfig, TrainError> {
        let variance = self.diffusion.variance;
        match &self.model {
            ModelConfig::Unet(spec) => self.images(spec.resolve(data, variance)?, data),
            ModelConfig::Unet2d(spec) => self.images(spec.resolve(data, variance)?, data),
            ModelConfig::Mlp(spec) => {
                let config = spec.resolve(data, variance)?;
                config.validate().map_err(model::as_written)?;
                Ok(AnyConfig::Mlp(config))
            }
            ModelConfig::Own(own) => Ok(AnyConfig::Own(OwnConfig::new(&own.class, data.shape()))),
        }
    }

    fn images(&self, mut config: UNet2DConfig, data: &dyn Dataset) -> Result<AnyConfig, TrainError> {
        if self.label_dropout() == 0.0 {
            self.check_labels(data)?;
            // Nothing would ever be told the class that stands for "any".
            config.num_class_embeds = config.num_class_embeds.map(|classes| classes - 1);
        }
        config.validate().map_err(model::as_written)?;
        Ok(AnyConfig::UNet(config))
    }

    /// What is wrong with the noise schedule for `data` and for what the network predicts: warnings, since errors are returned
    /// as such; see [`sfumato_schedule::check`](sfumato_schedule::check()).
    ///
    /// # Errors
    /// [`TrainError::Schedule`] for a description that gives no schedule, [`TrainError::ScheduleUnfit`] for a schedule that
    /// cannot work.
    pub fn check_schedule(&self, data: &dyn Dataset) -> Result<Vec<Finding>, TrainError> {
        let conditions = CheckConditions {
            mean_square: data.mean_square(),
            predicts_noise: self.diffusion.parameterization == Parameterization::Epsilon,
            ..CheckConditions::default()
        };
        let findings = self.diffusion.schedule.build()?.check(&conditions);
        match findings.iter().find(|finding| finding.severity() == Severity::Error) {
            Some(finding) => Err(TrainError::ScheduleUnfit { finding: *finding }),
            None => Ok(findings),
        }
    }
}
