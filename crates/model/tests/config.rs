//! Configurations: defaults, round trips, and what is refused.

use serde_json::{Value, json};
use sfumato_nets::{
    ConfigError,
    layers::Activation,
    mlp::MlpConfig,
    unet::{MidBlockType, ResampleType, SampleSize, TimeScaleShift, UNet2DConfig},
};

/// A valid two-level configuration with one key changed.
fn with(key: &str, value: Value) -> Result<UNet2DConfig, ConfigError> {
    let mut json = json!({
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
    });
    json[key] = value;
    UNet2DConfig::from_json(&json).map(|(config, _)| config)
}

#[test]
fn an_empty_object_has_the_class_defaults() {
    let (config, unknown) = UNet2DConfig::from_json(&json!({})).unwrap();
    assert_eq!(config, UNet2DConfig::default());
    assert!(unknown.is_empty());
    // diffusers 0.35.2: sum(p.numel() for p in UNet2DModel().parameters())
    assert_eq!(config.num_params(), 274_056_163);
}

#[test]
fn every_spelling_of_a_value_is_understood() {
    assert_eq!(with("act_fn", json!("swish")).unwrap().act_fn, Activation::Silu);
    assert_eq!(with("act_fn", json!("GELU")).unwrap().act_fn, Activation::Gelu);
    // For information: no size is wrong here. Who draws images asks whether the network takes it.
    for (value, size) in [(json!(7), SampleSize::Square(7)), (json!([8, 13]), SampleSize::Rectangle([8, 13]))] {
        assert_eq!(with("sample_size", value).unwrap().sample_size, Some(size));
    }
    assert_eq!(with("sample_size", json!(null)).unwrap().sample_size, None);
    assert_eq!(with("sample_size", json!(8.0)).unwrap().sample_size, Some(SampleSize::Square(8)));
    assert_eq!(with("block_out_channels", json!([8.0, 16.0])).unwrap().block_out_channels, [8, 16]);
    assert_eq!(with("layers_per_block", json!(1.0)).unwrap().layers_per_block, 1);
    assert_eq!(with("attention_head_dim", json!(null)).unwrap().attention_head_dim, None);
    assert_eq!(with("act_fn", json!("Mish")).unwrap().act_fn, Activation::Mish);
    assert_eq!(with("sample_size", json!([8, 12])).unwrap().sample_size, Some(SampleSize::Rectangle([8, 12])));
    assert_eq!(with("mid_block_type", json!(null)).unwrap().mid_block_type, MidBlockType::None);
    assert_eq!(with("freq_shift", json!(1.0)).unwrap().freq_shift, 1);
    assert_eq!(with("dropout", json!(0)).unwrap().dropout, 0.0);
    let shift = with("resnet_time_scale_shift", json!("scale_shift")).unwrap();
    assert_eq!(shift.resnet_time_scale_shift, TimeScaleShift::ScaleShift);
    assert_eq!(with("time_embedding_dim", json!(0)).unwrap().time_embed_dim(), 32);
    assert_eq!(with("downsample_type", json!(null)).unwrap().downsample_type, ResampleType::Conv);
    assert_eq!(with("upsample_type", json!(null)).unwrap().upsample_type, ResampleType::Conv);
}

#[test]
fn both_formats_round_trip_every_value() {
    for (key, value) in [
        ("attention_head_dim", json!(null)),
        ("attention_head_dim", json!(4)),
        ("mid_block_type", json!(null)),
        ("sample_size", json!(32)),
        ("class_embed_type", json!("timestep")),
        ("num_class_embeds", json!(10)),
        ("attn_norm_num_groups", json!(2)),
        ("norm_eps", json!(1e-6)),
    ] {
        let config = with(key, value).unwrap();
        let (diffusers, _) = UNet2DConfig::from_json(&Value::Object(config.to_json())).unwrap();
        assert_eq!(diffusers, config, "{key}");
        // Inside a larger configuration, where absent keys mean the default and there is no null.
        let mut value = serde_json::to_value(&config).unwrap();
        assert!(value.as_object_mut().unwrap().values().all(|value| !value.is_null()), "{key}");
        assert_eq!(serde_json::from_value::<UNet2DConfig>(value).unwrap(), config, "{key}");
    }
    assert!(serde_json::from_value::<UNet2DConfig>(json!({"in_chanels": 1})).is_err());
}

#[test]
fn heads_counted_by_number_are_a_list_of_their_channels() {
    // 8 and 16 channels.
    let config = with("attention_head_dim", json!([2, 4])).unwrap();
    assert_eq!(config.attention_heads, Some(4));
    assert_eq!(config.to_json()["attention_head_dim"], json!([2, 4]));
    assert!(!config.to_json().contains_key("attention_heads"));
    assert_eq!(UNet2DConfig::from_json(&Value::Object(config.to_json())).unwrap().0, config);
    let toml_like = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<UNet2DConfig>(toml_like).unwrap(), config);
    for (list, expected) in [
        (json!([2, 2]), "one number of heads"),
        (json!([4]), "one number of heads"),
        (json!([]), "one number of heads"),
        (json!([0, 0]), "one number of heads"),
        (json!(["a", 4]), "one number of heads"),
        (json!([1, 3]), "`attention_heads` is 5, expected a divisor of 16"),
    ] {
        let message = with("attention_head_dim", list).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn unsupported_values_are_refused_with_key_value_and_alternatives() {
    for (key, value, expected) in [
        ("time_embedding_type", json!("learned"), "positional or fourier"),
        ("down_block_types", json!(["SkipDownBlock2D", "DownBlock2D"]), "DownBlock2D, AttnDownBlock2D"),
        ("down_block_types", json!(["CrossAttnDownBlock2D", "DownBlock2D"]), "CrossAttnDownBlock2D"),
        ("up_block_types", json!(["UpBlock2D", "SkipUpBlock2D"]), "SkipUpBlock2D"),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn"), "UNetMidBlock2D or null"),
        ("downsample_type", json!("fir"), "conv or resnet"),
        ("upsample_type", json!("fir"), "conv or resnet"),
        ("act_fn", json!("tanh"), "silu, swish, mish, gelu or relu"),
        ("resnet_time_scale_shift", json!("ada_group"), "default or scale_shift"),
        ("resnet_time_scale_shift", json!("spatial"), "default or scale_shift"),
        ("class_embed_type", json!("projection"), "null, timestep or identity"),
    ] {
        let error = with(key, value.clone()).unwrap_err();
        assert!(matches!(error, ConfigError::Unsupported { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("`{key}`")) && message.contains(expected), "{message}");
        assert!(message.contains(&value.to_string()), "{message}");
    }
}

#[test]
fn values_that_make_no_network_are_refused_with_key_and_value() {
    let long = Value::from(vec![8; 17]);
    for (key, value, expected) in [
        ("in_channels", json!(0), "`in_channels` is 0"),
        ("in_channels", json!(-1), "`in_channels` is -1"),
        ("in_channels", json!("three"), "a non-negative integer"),
        ("in_channels", json!(null), "`in_channels` is null"),
        ("out_channels", json!(1e30), "`out_channels` is 1e+30"),
        ("block_out_channels", json!([8]), "`down_block_types` is a list of 2, expected 1 entries"),
        ("block_out_channels", json!([]), "1 to 16 levels"),
        ("block_out_channels", long, "1 to 16 levels"),
        ("block_out_channels", json!([8, 0]), "`block_out_channels` is [8, 0]"),
        ("block_out_channels", json!([8, 65_537]), "1 to 65536 each"),
        ("block_out_channels", json!([65_536, 65_536]), "at most 8589934592 parameters"),
        ("block_out_channels", json!([8, 18]), "`norm_num_groups` is 4, expected a divisor of 18"),
        ("up_block_types", json!(["UpBlock2D"]), "`up_block_types` is a list of 1, expected 2 entries"),
        ("norm_num_groups", json!(0), "a positive integer"),
        ("norm_num_groups", json!(3), "a divisor of 8"),
        ("attn_norm_num_groups", json!(5), "16 channels"),
        ("layers_per_block", json!(0), "1 to 256"),
        ("layers_per_block", json!(1_000_000_000), "1 to 256"),
        ("attention_head_dim", json!(0), "a positive integer or null"),
        ("attention_head_dim", json!(17), "at most 16"),
        ("norm_eps", json!(0.0), "a positive number"),
        ("norm_eps", json!(-1e-5), "a positive number"),
        // Zero and infinity, once they are f32.
        ("norm_eps", json!(1e-60), "`norm_eps` is 0.000000"),
        ("norm_eps", json!(1e60), "a positive number from 1e-30 to 1e30"),
        ("mid_block_scale_factor", json!(1e-60), "a positive number"),
        ("mid_block_scale_factor", json!(1e60), "a positive number"),
        ("mid_block_scale_factor", json!(0.0), "a positive number"),
        ("downsample_padding", json!(2), "0 or 1"),
        ("dropout", json!(1.0), "a probability in [0, 1)"),
        ("freq_shift", json!(4), "below 4"),
        ("freq_shift", json!(0.5), "an integer"),
        ("sample_size", json!(0), "1 to 65536 pixels"),
        ("sample_size", json!([8, 0]), "1 to 65536 pixels"),
        ("sample_size", json!(1e12), "1 to 65536 pixels"),
        ("sample_size", json!("32"), "an integer, [height, width] or null"),
        ("norm_num_groups", json!("4"), "a non-negative integer"),
        ("sample_size", json!(1u64 << 40), "1 to 65536 pixels"),
        ("sample_size", json!([8, 1u64 << 62]), "1 to 65536 pixels"),
        ("sample_size", json!([8, 8, 8]), "an integer, [height, width] or null"),
        ("num_class_embeds", json!(0), "1 to 16777216 classes"),
        ("time_embedding_dim", json!(1_000_000), "at most 65536"),
        ("add_attention", json!(1), "true or false"),
    ] {
        let error = with(key, value).unwrap_err();
        assert!(matches!(error, ConfigError::Value { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let not_an_object = UNet2DConfig::from_json(&json!([1, 2])).unwrap_err();
    assert!(matches!(not_an_object, ConfigError::NotAnObject { .. }));
}

#[test]
fn sizes_are_asked_of_the_network() {
    use sfumato_model::pipeline::AnyConfig;
    use sfumato_nets::InputError;
    let size = |value, asked| AnyConfig::UNet(with("sample_size", value).unwrap()).image_size(asked);
    assert_eq!(size(json!(null), None), Ok(None));
    assert_eq!(size(json!(null), Some([2, 4])), Ok(Some([2, 4])));
    assert_eq!(size(json!([8, 12]), None), Ok(Some([8, 12])));
    assert_eq!(size(json!([8, 12]), Some([4, 4])), Ok(Some([4, 4])));
    assert_eq!(size(json!(7), None), Err(InputError::Size { height: 7, width: 7, divisor: 2 }));
    assert_eq!(size(json!(8), Some([8, 0])), Err(InputError::Size { height: 8, width: 0, divisor: 2 }));
    assert_eq!(AnyConfig::Mlp(MlpConfig::default()).image_size(Some([8, 8])), Ok(None));
}

#[test]
fn keys_of_an_average_and_keys_without_a_value_deserve_no_word() {
    let average = json!({
        "decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 7, "power": 0.75,
        "update_after_step": 0, "use_ema_warmup": true, "cross_attention_dim": null, "of_the_future": null,
    });
    let (config, unknown) = UNet2DConfig::from_json(&average).unwrap();
    assert_eq!((config, unknown), (UNet2DConfig::default(), vec![]));
}

#[test]
fn a_block_that_does_not_exist_is_named_however_long_the_list() {
    let mut blocks = vec!["DownBlock2D"; 12];
    blocks.push("SimpleCrossAttnDownBlock2D");
    let message = with("down_block_types", json!(blocks)).unwrap_err().to_string();
    assert!(message.contains("SimpleCrossAttnDownBlock2D"), "{message}");
}

#[test]
fn long_values_are_cut_in_messages() {
    let message = with("sample_size", Value::from(vec![1; 1000])).unwrap_err().to_string();
    assert!(message.len() < 200, "{message}");
}

#[test]
fn an_mlp_is_checked_alike() {
    let read = |json: Value| MlpConfig::from_json(&json);
    assert_eq!(read(json!({"_class_name": "SfumatoMLP"})).unwrap(), (MlpConfig::default(), vec![]));
    assert_eq!(read(json!({"depth": 3})).unwrap().1, ["depth"]);
    let config = MlpConfig { data_dim: 3, hidden_dim: 7, num_blocks: 0, time_features: 5, learned_variance: true };
    assert_eq!(read(Value::Object(config.to_json())).unwrap().0, config);
    for (json, expected) in [
        (json!({"data_dim": 0}), "`data_dim` is 0, expected 1 to 65536"),
        (json!({"hidden_dim": 1_000_000}), "`hidden_dim` is 1000000"),
        (json!({"num_blocks": -1}), "`num_blocks` is -1"),
        (json!({"time_features": 1}), "`time_features` is 1"),
        (json!({"hidden_dim": 65_536, "num_blocks": 256}), "at most 8589934592 parameters"),
        (json!(null), "expected an object"),
    ] {
        let message = read(json).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
