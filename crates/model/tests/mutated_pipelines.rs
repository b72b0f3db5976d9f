//! Configurations with keys changed at random: an error or a model, never a panic.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};
use sfumato_model::pipeline::{AnyConfig, Pipeline, Scheduler};
use sfumato_nets::unet::{DownBlockType, SampleSize, UNet2DConfig, UpBlockType};
use sfumato_schedule::Linear;
use tempfile::tempdir;

fn small() -> UNet2DConfig {
    UNet2DConfig {
        sample_size: Some(SampleSize::Square(8)),
        block_out_channels: vec![4, 4],
        down_block_types: vec![DownBlockType::DownBlock2D; 2],
        up_block_types: vec![UpBlockType::UpBlock2D; 2],
        layers_per_block: 1,
        norm_num_groups: 2,
        attention_head_dim: None,
        num_class_embeds: Some(3),
        ..Default::default()
    }
}

/// Values that a mutation may put anywhere.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0u64..20).prop_map(Value::from),
        "[a-zA-Z0-9]{0,12}".prop_map(Value::from),
        proptest::collection::vec(any::<u32>(), 0..20).prop_map(Value::from),
        proptest::collection::vec(
            (0u64..3).prop_map(|i| ["DownBlock2D", "AttnDownBlock2D", "UpBlock2D"][i as usize]),
            0..20
        )
        .prop_map(Value::from),
        Just(json!({"a": [1, {"b": null}]})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_configurations_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), anything()), 1..4)) {
        let mut map = small().to_json();
        for (index, value) in changes {
            let key = map.keys().nth(index.index(map.len())).unwrap().clone();
            map.insert(key, value);
        }
        if let Ok((AnyConfig::UNet(config), _)) = AnyConfig::from_json(&Value::Object(map)) {
            // Whatever is accepted goes back as it came and has a size.
            let (again, _) = UNet2DConfig::from_json(&Value::Object(config.to_json())).unwrap();
            prop_assert_eq!(&again, &config);
            let side = config.size_divisor();
            prop_assert_eq!(config.summarize([side, side]).parameters(), config.num_params());
        }
    }

    #[test]
    fn mutated_schedulers_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), anything()), 1..4)) {
        let mut map = Scheduler { schedule: Linear { steps: 10, ..Linear::default() }.into(), ..Default::default() }.to_json().unwrap();
        for (index, value) in changes {
            let key = map.keys().nth(index.index(map.len())).unwrap().clone();
            map.insert(key, value);
        }
        if let Ok(scheduler) = Scheduler::from_json(&Value::Object(map)) {
            let _ = scheduler.to_json();
        }
    }

    #[test]
    fn arbitrary_bytes_in_config_json_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("config.json"), bytes).unwrap();
        let message = Pipeline::open(dir.path()).unwrap_err().to_string();
        prop_assert!(message.contains("config.json") || message.contains("safetensors"));
    }
}
