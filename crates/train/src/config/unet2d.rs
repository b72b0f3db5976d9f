//! Any U-Net of diffusers as a network to train, key by key.

use serde::{Deserialize, Serialize};
use sfumato_data::Dataset;
use sfumato_model::pipeline::AnyConfig;
use sfumato_nets::{
    NetError,
    unet::{DownBlockType, SampleSize, UNet2DConfig},
};
use sfumato_process::ModelVariance;

use super::{MlpSpec, ModelConfig, OwnSpec, UNetSpec, check};
use crate::TrainError;

/// A U-Net with the keys of diffusers' `UNet2DModel`, for structures that a [`UNetSpec`] has no words for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNet2DSpec {
    /// Learn the classes of the data set's labels.
    pub class_conditional: bool,
    /// The structure. Size, channels in and out, and the number of classes are those that the data needs, whatever stands there.
    pub config: UNet2DConfig,
}

impl UNet2DSpec {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let told = self.config.class_embed_type.map_or("a table", |_| "something else");
        let expected = "left out: a network learns classes in a table here";
        check("model.config.class_embed_type", told, self.config.class_embed_type.is_none(), expected)?;
        Ok(self.config.validate().map_err(NetError::from)?)
    }

    /// The network for `data`, as [`UNetSpec::resolve`] has it.
    ///
    /// # Errors
    /// As there.
    pub fn resolve(&self, data: &dyn Dataset, variance: ModelVariance) -> Result<UNet2DConfig, TrainError> {
        let keys = Keys { kind: "unet2d", levels: "model.config.block_out_channels" };
        for_data(self.config.clone(), self.class_conditional, &keys, data, variance)
    }
}

/// How the keys of a network are called that an error names.
pub(super) struct Keys {
    pub(super) kind: &'static str,
    pub(super) levels: &'static str,
}

/// `structure` with what the data decides.
pub(super) fn for_data(
    structure: UNet2DConfig,
    class_conditional: bool,
    keys: &Keys,
    data: &dyn Dataset,
    variance: ModelVariance,
) -> Result<UNet2DConfig, TrainError> {
    let &[channels, height, width] = data.shape() else {
        let hint = format!("\"mlp\", since {} holds points and no images (--preset swiss-roll has one)", data.name());
        return Err(TrainError::ConfigValue { key: "model.kind", value: keys.kind.into(), expected: hint });
    };
    let levels = &structure.block_out_channels;
    let divisor = 1_usize << levels.len().saturating_sub(1);
    let fits = height % divisor == 0 && width % divisor == 0;
    let most = height.trailing_zeros().min(width.trailing_zeros()) + 1;
    let next = |side: usize| side.div_ceil(divisor) * divisor;
    let expected = format!(
        "a list of {most} levels at most for images of {height}x{width}; or bring them to a multiple of {divisor} pixels, \
         as with --image-size {}",
        next(height.max(width))
    );
    check(keys.levels, format!("{levels:?}"), fits, &expected)?;
    let classes = match (class_conditional, data.classes()) {
        (false, _) => None,
        (true, Some(classes)) => Some(classes + 1),
        (true, None) => {
            let expected = format!("false: {} has no labels", data.name());
            return Err(TrainError::ConfigValue { key: "model.class_conditional", value: "true".into(), expected });
        }
    };
    Ok(UNet2DConfig {
        sample_size: Some(if height == width {
            SampleSize::Square(height)
        } else {
            SampleSize::Rectangle([height, width])
        }),
        in_channels: channels,
        out_channels: if variance.learned().is_some() { 2 * channels } else { channels },
        num_class_embeds: classes,
        ..structure
    })
}

impl ModelConfig {
    /// The network that `config` describes, in the words of a run's configuration: a [`UNetSpec`] where that says all of it, else a
    /// [`UNet2DSpec`]. It learns classes in a table if the network has one; another way of telling it the class is left out.
    pub fn like(config: &AnyConfig) -> Self {
        match config {
            AnyConfig::UNet(config) => {
                let class_conditional = config.num_classes().is_some();
                let structure = without_data(config);
                match in_few_words(&structure, class_conditional) {
                    Some(spec) => Self::Unet(spec),
                    None => Self::Unet2d(UNet2DSpec { class_conditional, config: structure }),
                }
            }
            AnyConfig::Mlp(config) => Self::Mlp(MlpSpec { hidden: config.hidden_dim, layers: config.num_blocks }),
            AnyConfig::Own(own) => Self::Own(OwnSpec { class: own.class_name.clone() }),
        }
    }
}

/// The structure without what the data decides.
fn without_data(config: &UNet2DConfig) -> UNet2DConfig {
    let UNet2DConfig { in_channels, out_channels, .. } = UNet2DConfig::default();
    UNet2DConfig {
        sample_size: None,
        in_channels,
        out_channels,
        class_embed_type: None,
        num_class_embeds: None,
        ..config.clone()
    }
}

/// A [`UNetSpec`] of exactly this structure, if there is one.
fn in_few_words(structure: &UNet2DConfig, class_conditional: bool) -> Option<UNetSpec> {
    let attends = |kind: &DownBlockType| matches!(kind, DownBlockType::AttnDownBlock2D);
    let spec = UNetSpec {
        channels: structure.block_out_channels.clone(),
        blocks_per_level: structure.layers_per_block,
        attention: structure.down_block_types.iter().map(attends).collect(),
        head_dim: structure.attention_head_dim.unwrap_or(0),
        groups: structure.norm_num_groups,
        norm_eps: structure.norm_eps,
        dropout: structure.dropout,
        class_conditional,
        freq_shift: structure.freq_shift,
        flip_sin_to_cos: structure.flip_sin_to_cos,
        downsample_padding: structure.downsample_padding,
    };
    (without_data(&spec.structure()) == *structure && spec.validate().is_ok()).then_some(spec)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfumato_nets::{mlp::MlpConfig, unet::TimeScaleShift};

    use super::*;

    fn read_back(model: &ModelConfig) -> ModelConfig {
        let config = crate::TrainConfig { model: model.clone(), ..crate::TrainConfig::default() };
        toml::from_str::<crate::TrainConfig>(&config.to_toml()).unwrap().model
    }

    proptest! {
        /// What a U-Net of ours says of itself is again that U-Net, in few words.
        #[test]
        fn our_own_networks_come_back(
            levels in prop::collection::vec((1_usize..5, any::<bool>()), 1..5),
            blocks in 1_usize..4,
            heads in any::<bool>(),
            padding in 0_usize..2,
            conditional in any::<bool>(),
            shift in 0_i64..2,
        ) {
            let spec = UNetSpec {
                channels: levels.iter().map(|(n, _)| 8 * n).collect(),
                attention: levels.iter().map(|(_, attention)| *attention).collect(),
                blocks_per_level: blocks,
                head_dim: if heads { 8 } else { 0 },
                groups: 4,
                class_conditional: conditional,
                downsample_padding: padding,
                freq_shift: shift,
                ..UNetSpec::default()
            };
            let mut config = spec.structure();
            config.num_class_embeds = conditional.then_some(11);
            let found = ModelConfig::like(&AnyConfig::UNet(config));
            prop_assert_eq!(&found, &ModelConfig::Unet(spec));
            prop_assert_eq!(read_back(&found), found);
        }
    }

    #[test]
    fn other_networks_keep_every_key() {
        let config = UNet2DConfig {
            block_out_channels: vec![8, 12],
            down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
            up_block_types: UNetSpec { attention: vec![false, true], ..UNetSpec::default() }.structure().up_block_types,
            norm_num_groups: 2,
            attention_head_dim: Some(4),
            resnet_time_scale_shift: TimeScaleShift::ScaleShift,
            mid_block_scale_factor: std::f64::consts::SQRT_2,
            num_class_embeds: Some(5),
            ..UNet2DConfig::default()
        };
        let found = ModelConfig::like(&AnyConfig::UNet(config.clone()));
        let ModelConfig::Unet2d(spec) = &found else { panic!("{found:?}") };
        assert!(spec.class_conditional && spec.validate().is_ok());
        assert_eq!(spec.config, without_data(&config));
        assert_eq!(read_back(&found), found);
        let mlp = MlpConfig { hidden_dim: 7, num_blocks: 2, ..MlpConfig::default() };
        assert_eq!(ModelConfig::like(&AnyConfig::Mlp(mlp)), ModelConfig::Mlp(MlpSpec { hidden: 7, layers: 2 }));
    }
}
