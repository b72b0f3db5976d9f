//! Guidance in an interval of noise levels, through the program.

mod common;

use common::{fail, read_npy, stderr, succeed, train_tiny};
use serde_json::Value;

/// Guidance at all levels is guidance without an interval, and guidance at none is that of weight 1; in between it is neither.
#[test]
fn an_interval_lies_between_full_guidance_and_none() {
    let dir = tempfile::tempdir().unwrap();
    let model = train_tiny(dir.path(), "classes", &["--steps", "2", "--class-conditional"]).join("model");
    let model = model.to_str().unwrap();
    let sample = |args: &[&str]| {
        let all =
            ["sample", "--model", model, "--num", "2", "--class", "3", "--steps", "8", "--out", "out", "--overwrite"];
        let said = stderr(&succeed(dir.path(), &all.iter().chain(args).copied().collect::<Vec<_>>()));
        (read_npy(&dir.path().join("out/samples.npy")).1, said)
    };
    for sampler in ["ddpm", "ddim", "dpm-solver++", "dpm-solver++-sde", "unipc", "euler", "euler-ancestral", "heun"] {
        let draw = |args: &[&str]| sample(&[&["--sampler", sampler, "--spacing", "linspace"], args].concat());
        let full = draw(&["--guidance", "3"]).0;
        let none = draw(&["--guidance", "1"]).0;
        let within = |interval: &'static str| draw(&["--guidance", "3", "--guidance-interval", interval]);
        let (all, said) = within("0,inf");
        assert!(all == full, "{sampler}");
        assert!(said.contains("guidance at 8 of 8 steps: t = 1000 to "), "{said}");
        let (empty, said) = within("2,2");
        assert!(empty == none, "{sampler}");
        assert!(said.contains("note: none of 8 steps starts in the interval"), "{said}");
        let (part, said) = within("0.3,3");
        assert!(part != full && part != none, "{sampler}");
        assert!(said.contains("guidance at ") && said.contains(" of 8 steps: t"), "{said}");
    }
}

#[test]
fn the_interval_is_among_the_settings_and_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let model = train_tiny(dir.path(), "classes", &["--steps", "1", "--class-conditional"]).join("model");
    let model = model.to_str().unwrap();
    let words = |args: &'static [&'static str]| -> Vec<&str> {
        ["sample", "--model", model, "--num", "1", "--steps", "4", "--out", "out"].iter().chain(args).copied().collect()
    };
    succeed(dir.path(), &words(&["--guidance", "2", "--guidance-interval", "0.25,inf"]));
    let record: Value = serde_json::from_slice(&std::fs::read(dir.path().join("out/sample.json")).unwrap()).unwrap();
    assert_eq!(record["settings"]["guidance_interval"], "0.25,inf");
    let said = fail(dir.path(), 1, &words(&["--guidance", "2", "--guidance-interval", "0.25,3"]));
    assert!(said.contains("guidance_interval"), "{said}");
    for (args, expected) in [
        (&["--guidance-interval", "0.25,3"][..], "--guidance-interval 0.25,3: there is no guidance to limit"),
        (&["--guidance", "2", "--guidance-interval", "3,0.25"], "expected two noise levels LO,HI"),
        (&["--guidance", "2", "--guidance-interval", "3"], "expected two noise levels LO,HI"),
        (&["--guidance", "2", "--guidance-interval=-1,3"], "expected two noise levels LO,HI"),
    ] {
        let said = fail(dir.path(), 2, &words(args));
        assert!(said.contains(expected), "{said}");
    }
}
