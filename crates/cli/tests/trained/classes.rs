//! Guidance of a network whose files do not say which class stands for "any", since diffusers has no key for it.

use crate::{
    common::{contains, fail, json, read_npy, stdout, succeed, unwrapped},
    golden::{NULL, path},
    samples,
};

#[test]
fn guidance_without_the_class_for_any_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let sample = |model: &str, args: &[&str]| {
        let model = path(model);
        let all = ["sample", "--model", &model, "--num", "1", "--steps", "2", "--out", "out"];
        unwrapped(&fail(dir.path(), 1, &[&all[..], args].concat()))
    };
    contains(&sample("classes", &["--guidance", "2"]), &["which of its classes stands for \"any\"", "--null-class 10"]);
    contains(&sample("classes", &["--null-class", "9"]), &["--null-class 9", "0 to 10", "only the last, 10"]);
    contains(&sample("classes", &["--null-class", "11"]), &["--null-class 11", "only the last, 10"]);
    contains(&sample("classes", &["--null-class", NULL, "--class", NULL]), &["--class 10", "0 to 9"]);
    contains(&sample("cosine-v", &["--null-class", NULL]), &["--null-class 10", "is not class-conditional"]);
    contains(&sample("cosine-v", &["--guidance", "2"]), &["--guidance 2", "was not trained for guidance"]);
}

#[test]
fn a_score_without_the_class_for_any_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (path("classes"), format!("npy:{}", path("test.npz")));
    let eval = ["eval", "--model", &model, "--dataset", &data, "--steps", "2"];
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
    let model = path("classes");
    succeed(dir.path(), &["export", "--model", &model, "--out", "copy", "--dtype", "f16", "--null-class", NULL]);
    let config = json(&dir.path().join("copy/unet/config.json"));
    assert_eq!((&config["num_class_embeds"], &config["_sfumato"]["null_class"]), (&11.into(), &10.into()));
    let info = stdout(&succeed(dir.path(), &["info", "copy"]));
    contains(&info, &["0 to 9, and 10 for any (guidance)"]);
    samples::compare(dir.path(), "copy", "classes/ddpm-50-guided", 51, &["--steps", "50", "--guidance", "2"]);
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
    let draw = |out: &str, args: &[&str]| {
        let model = path("classes");
        let all = ["sample", "--model", &model, "--num", "1", "--steps", "10", "--out", out, "--threads", "1"];
        succeed(dir.path(), &[&all[..], args].concat());
        read_npy(&dir.path().join(out).join("samples.npy")).1
    };
    let any = draw("any", &["--class", NULL]);
    // A weight of 0 ignores the class that was asked for.
    assert_eq!(any, draw("unguided", &["--class", "0", "--guidance", "0", "--null-class", NULL]));
    assert_ne!(any, draw("told", &["--class", "0"]));
}
