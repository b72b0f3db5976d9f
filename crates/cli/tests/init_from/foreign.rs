//! Models of diffusers as sources.

use std::path::PathBuf;

use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden").join(name)
}

/// The weights of a file or of several, under the names that they have there.
fn stored(files: &[PathBuf]) -> BTreeMap<String, NamedTensor> {
    let tensors = files.iter().flat_map(|file| read_tensors(file).unwrap());
    tensors.map(|tensor| (tensor.name.clone(), tensor)).collect()
}

/// Tunes a copy of a golden model at a rate that moves nothing, on `data`.
fn tuned(dir: &Path, name: &str, data: &str, args: &[&str]) -> String {
    let from = golden(name);
    let out = name.replace('/', "-");
    train(dir, &out, &[&["--init-from", from.to_str().unwrap(), "--dataset", data], args, STILL])
}

#[test]
fn pipelines_of_diffusers_are_taken_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("grey"), &["."], 5, (8, 8), false);
    pictures(&dir.join("colour"), &["."], 5, (8, 8), true);
    for (name, data) in [("defaults", "folder:grey"), ("cifar", "folder:colour")] {
        let said = tuned(dir, name, data, &[]);
        assert!(said.contains(": all ") && said.contains(" tensors are taken"), "{said}");
        let there = stored(&[golden(name).join("unet/diffusion_pytorch_model.safetensors")]);
        assert_eq!(tensors(dir, &format!("{name}/model")), there, "{name}");
        assert_eq!(samples(dir, &format!("{name}/model"), &[]).len() % (3 * 64), 0);
    }
}

#[test]
fn half_precision_and_shards_are_read_as_floats() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pictures(&dir.join("grey"), &["."], 5, (8, 8), false);
    for name in ["files/fp16", "files/bf16", "files/sharded", "files/sharded-fp16"] {
        let said = tuned(dir, name, "folder:grey", &[]);
        assert!(said.contains(": all "), "{said}");
        let files = fs::read_dir(golden(name).join("unet")).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect();
        let model = name.replace('/', "-") + "/model";
        assert_eq!(tensors(dir, &model), stored(&files), "{name}");
    }
    // The folder of a network alone, with the names of an older release: the same weights.
    let said = tuned(dir, "files/flat", "folder:grey", &[]);
    contains(&said, &[": all ", "has no scheduler, the defaults of DDPMScheduler are assumed"]);
    assert_eq!(other(dir, "files-flat/model", "files-sharded/model"), Vec::<String>::new());
}

#[test]
fn structures_that_no_run_of_ours_has_are_trained_by_the_keys_of_diffusers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let names = ["p", "q", "r", "s", "t"];
    pictures(&dir.join("five"), &names, 3, (8, 8), false);
    // Class-conditional, without names, and with two outputs for each value, of whose meaning its scheduler says nothing.
    let said = tuned(dir, "classes", "folder:five", &[]);
    contains(
        &said,
        &["3 more in part", "class_embedding.weight (5 of 5 classes by their numbers, as names are not known)"],
    );
    let config = fs::read_to_string(dir.join("classes/config.toml")).unwrap();
    contains(
        &config,
        &["kind = \"unet2d\"", "[model.config]", "act_fn = \"gelu\"", "resnet_time_scale_shift = \"scale_shift\""],
    );
    let there = stored(&[golden("classes").join("unet/diffusion_pytorch_model.safetensors")]);
    let here = tensors(dir, "classes/model");
    let (table, all) = (&there["class_embedding.weight"], &here["class_embedding.weight"]);
    assert_eq!((table.shape[0], all.shape[0]), (5, 6));
    assert_eq!(&all.values[..table.values.len()], &table.values[..]);
    assert_eq!(
        &here["conv_out.weight"].values[..],
        &there["conv_out.weight"].values[..here["conv_out.weight"].values.len()]
    );
    // The run is one like any other: it goes on, and is repeated from its configuration.
    succeed(dir, &["train", "--resume", "classes", "--steps", "3", "--learning-rate", "1e-3", "--threads", "1"]);
    let wider = ["train", "--init-from", "classes", "--dataset", "folder:five", "--out", "x", "--steps", "1"];
    let said = fail(dir, 1, &[&wider[..], &["--set", "model.config.norm_num_groups=5"]].concat());
    contains(&said, &["norm_num_groups"]);
    pictures(&dir.join("odd"), &["."], 4, (7, 7), false);
    let said = fail(dir, 1, &["train", "--init-from", "classes", "--dataset", "folder:odd", "--out", "x"]);
    contains(&said, &["model.config.block_out_channels must be a list of 1 levels at most for images of 7x7"]);
}
