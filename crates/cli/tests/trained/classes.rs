//! Guidance of a network whose files do not say which class stands for "any", since diffusers has no key for it.

use std::{fs, path::Path};

use sfumato_model::tensor_file::{NamedTensor, read_tensors, write_tensors};

use crate::{
    common::{contains, fail, json, read_npy, stdout, succeed, unwrapped},
    golden::path,
};

/// The last of eleven classes.
const NULL: &str = "10";

/// The trained network with a table of eleven classes, as `classes` in `dir`: `num_class_embeds = 11`, and nothing that tells its last row
/// from the others.
fn with_classes(dir: &Path) {
    let (from, to) = (path("linear-epsilon"), dir.join("classes"));
    for folder in ["unet", "scheduler"] {
        fs::create_dir_all(to.join(folder)).unwrap();
    }
    let scheduler = "scheduler/scheduler_config.json";
    fs::copy(Path::new(&from).join(scheduler), to.join(scheduler)).unwrap();
    let mut config = json(Path::new(&format!("{from}/unet/config.json")));
    config["num_class_embeds"] = 11.into();
    fs::write(to.join("unet/config.json"), config.to_string()).unwrap();
    let weights = format!("{from}/unet/diffusion_pytorch_model.fp16.safetensors");
    let mut tensors = read_tensors(Path::new(&weights)).unwrap();
    let values = (0..11 * 48).map(|i| (i % 13) as f32 / 13.0 - 0.5).collect();
    tensors.push(NamedTensor { name: "class_embedding.weight".into(), shape: vec![11, 48], values });
    write_tensors(&to.join("unet/diffusion_pytorch_model.safetensors"), &[], &tensors).unwrap();
}

#[test]
fn guidance_without_the_class_for_any_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    with_classes(dir.path());
    let sample = |model: &str, args: &[&str]| {
        let all = ["sample", "--model", model, "--num", "1", "--steps", "2", "--out", "out"];
        unwrapped(&fail(dir.path(), 1, &[&all[..], args].concat()))
    };
    contains(&sample("classes", &["--guidance", "2"]), &["which of its classes stands for \"any\"", "--null-class 10"]);
    contains(&sample("classes", &["--null-class", "9"]), &["--null-class 9", "0 to 10", "only the last, 10"]);
    contains(&sample("classes", &["--null-class", "11"]), &["--null-class 11", "only the last, 10"]);
    contains(&sample("classes", &["--null-class", NULL, "--class", NULL]), &["--class 10", "0 to 9"]);
    contains(&sample(&path("cosine-v"), &["--null-class", NULL]), &["--null-class 10", "is not class-conditional"]);
    contains(&sample(&path("cosine-v"), &["--guidance", "2"]), &["--guidance 2", "was not trained for guidance"]);
}

#[test]
fn a_score_without_the_class_for_any_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    with_classes(dir.path());
    let data = format!("npy:{}", path("test.npz"));
    let eval = ["eval", "--model", "classes", "--dataset", &data, "--steps", "2"];
    let said = unwrapped(&fail(dir.path(), 1, &eval));
    contains(&said, &["10 classes", "has 11", "eval --null-class 10", "export --null-class 10"]);
    let said = unwrapped(&fail(dir.path(), 1, &[&eval[..], &["--ignore-labels"]].concat()));
    contains(&said, &["--ignore-labels", "--null-class"]);
    succeed(dir.path(), &[&eval[..], &["--ignore-labels", "--null-class", NULL]].concat());
}

/// `export` writes it down, and from then on nobody needs to say it.
#[test]
fn an_exported_copy_knows_the_class_for_any() {
    let dir = tempfile::tempdir().unwrap();
    with_classes(dir.path());
    succeed(dir.path(), &["export", "--model", "classes", "--out", "copy", "--null-class", NULL]);
    let config = json(&dir.path().join("copy/unet/config.json"));
    assert_eq!((&config["num_class_embeds"], &config["_sfumato"]["null_class"]), (&11.into(), &10.into()));
    let info = stdout(&succeed(dir.path(), &["info", "copy"]));
    contains(&info, &["0 to 9, and 10 for any (guidance)"]);
    let draw = |model: &str, args: &[&str]| {
        let all = ["sample", "--model", model, "--num", "2", "--steps", "10", "--guidance", "2", "--out", "out"];
        succeed(dir.path(), &[&all[..], &["--overwrite"], args].concat());
        read_npy(&dir.path().join("out/samples.npy")).1
    };
    assert_eq!(draw("copy", &[]), draw("classes", &["--null-class", NULL]));
    let data = format!("npy:{}", path("test.npz"));
    succeed(dir.path(), &["eval", "--model", "copy", "--dataset", &data, "--steps", "2"]);
    // It may be said again, but not otherwise.
    let again = |class: &str| ["export", "--model", "copy", "--out", "again", "--null-class", class].map(str::to_owned);
    let said = fail(dir.path(), 1, &again("3").each_ref().map(String::as_str));
    contains(&unwrapped(&said), &["--null-class 3", "says itself that 10"]);
    succeed(dir.path(), &again(NULL).each_ref().map(String::as_str));
}

/// Without it the table's last row is a class like the others.
#[test]
fn the_label_for_any_can_be_asked_for_as_a_class() {
    let dir = tempfile::tempdir().unwrap();
    with_classes(dir.path());
    let draw = |out: &str, args: &[&str]| {
        let all = ["sample", "--model", "classes", "--num", "1", "--steps", "10", "--out", out, "--threads", "1"];
        succeed(dir.path(), &[&all[..], args].concat());
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    let any = draw("any", &["--class", NULL]);
    // A weight of 0 ignores the class that was asked for.
    assert_eq!(any, draw("unguided", &["--class", "0", "--guidance", "0", "--null-class", NULL]));
    assert_ne!(any, draw("told", &["--class", "0"]));
}
