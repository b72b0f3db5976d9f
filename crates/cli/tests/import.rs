//! Importing through the program: checkpoints that torch wrote, and files that are none.

mod common;
#[path = "../../model/tests/common/formula.rs"]
mod formula;
#[path = "../../model/tests/common/torch_writer.rs"]
mod torch_writer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{fail, read_npy, stderr, stdout, succeed};

/// The flags of the checkpoints in `golden/openai`.
const FLAGS: &str =
    "--image_size 16 --channel_mult 1,1 --num_channels 32 --num_heads 2 --num_res_blocks 1 --attention_resolutions 8";

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/openai").join(name);
    path.to_str().unwrap().to_owned()
}

fn json(path: PathBuf) -> serde_json::Value {
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[test]
fn a_checkpoint_becomes_a_model_that_samples() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["zip.pt", "legacy.pt"] {
        let out = file.replace('.', "-");
        let args = ["import", "guided-diffusion", &golden(file), "--flags", FLAGS, "--out", &out];
        assert_eq!(stdout(&succeed(dir.path(), &args)).trim(), out);
        let config = json(dir.path().join(&out).join("unet/config.json"));
        assert_eq!(config["block_out_channels"], serde_json::json!([32, 32]));
        assert_eq!(config["_sfumato"]["provenance"]["imported_from"], file);
        assert_eq!(config["_sfumato"]["provenance"]["project"], "guided-diffusion");
        assert_eq!(config["_sfumato"]["provenance"]["flags"], FLAGS);
        let scheduler = json(dir.path().join(&out).join("scheduler/scheduler_config.json"));
        assert_eq!(
            (&scheduler["variance_type"], &scheduler["beta_schedule"]),
            (&"fixed_large".into(), &"linear".into())
        );
        succeed(
            dir.path(),
            &["sample", "--model", &out, "--num", "2", "--steps", "2", "--out", "samples", "--overwrite"],
        );
        let (shape, values) = read_npy(&dir.path().join("samples/samples.npy"));
        assert_eq!(shape, [2, 3, 16, 16]);
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(stdout(&succeed(dir.path(), &["info", &out])).contains("318691"));
    }
}

/// Imports the golden network with learned variances, whose weights a formula gives, as `out`.
fn import_learned(dir: &Path, out: &str) {
    let case = json(golden("improved.json").into());
    let tensors = case["tensors"].as_object().unwrap().iter().map(|(name, shape)| {
        let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
        (name.clone(), shape.clone(), formula::Formula.weight(name, &shape))
    });
    fs::write(dir.join("learned.pt"), torch_writer::checkpoint(&tensors.collect::<Vec<_>>(), false)).unwrap();
    let flags = case["flags"].as_str().unwrap();
    succeed(dir, &["import", "improved-diffusion", "learned.pt", "--flags", flags, "--out", out]);
}

#[test]
fn a_learned_variance_reaches_samples_and_scores() {
    let dir = tempfile::tempdir().unwrap();
    import_learned(dir.path(), "learned");
    let text = stdout(&succeed(dir.path(), &["info", "learned"]));
    for part in ["learned-range: the second half", "ddpm, spacing leading", "to [-1, 1]", "1000 betas"] {
        assert!(text.contains(part), "'{part}' is not in:\n{text}");
    }
    let info: serde_json::Value =
        serde_json::from_slice(&succeed(dir.path(), &["info", "learned", "--json"]).stdout).unwrap();
    assert_eq!((&info["variance"], &info["sampler"]["name"]), (&"learned-range".into(), &"ddpm".into()));
    assert!(!info["odd"].to_string().contains("not supported"), "{}", info["odd"]);

    // The same network, with the variance's half passed over.
    succeed(dir.path(), &["export", "--model", "learned", "--out", "fixed"]);
    let path = dir.path().join("fixed/scheduler/scheduler_config.json");
    let mut scheduler = json(path.clone());
    assert_eq!(scheduler["variance_type"], "learned_range");
    scheduler["variance_type"] = "fixed_small".into();
    fs::write(path, scheduler.to_string()).unwrap();

    let sample = |model: &str, sampler: &str| {
        let args = [
            "sample",
            "--model",
            model,
            "--sampler",
            sampler,
            "--num",
            "1",
            "--steps",
            "3",
            "--out",
            "samples",
            "--overwrite",
        ];
        succeed(dir.path(), &args);
        let (shape, values) = read_npy(&dir.path().join("samples/samples.npy"));
        assert_eq!(shape, [1, 3, 32, 32]);
        assert!(values.iter().all(|value| value.is_finite()));
        values
    };
    assert_ne!(sample("learned", "ddpm"), sample("fixed", "ddpm"));
    assert_eq!(sample("learned", "ddim"), sample("fixed", "ddim"));

    let pixels: Vec<u8> = (0..2 * 3 * 32 * 32).map(|i| (i * 37 % 251) as u8).collect();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 32, 32), }";
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend(format!("{header:<117}\n").as_bytes());
    file.extend(&pixels);
    fs::write(dir.path().join("images.npy"), file).unwrap();
    let score = |model: &str, args: &[&str]| {
        let all = ["eval", "--model", model, "--dataset", "npy:images.npy", "--stride", "500", "--json", "score.json"];
        let text = stdout(&succeed(dir.path(), &[&all[..], args].concat()));
        let bits = json(dir.path().join("score.json"))["total"]["bits_per_dim"].as_f64().unwrap();
        assert!(bits.is_finite() && bits > 0.0, "{bits}");
        (text, bits)
    };
    let (text, learned) = score("learned", &[]);
    assert!(text.contains("variance learned-range"), "{text}");
    let (text, fixed) = score("fixed", &[]);
    assert!(text.contains("variance fixed-small"), "{text}");
    assert_ne!(learned, fixed);
    // What is said on the command line holds for learned variances, too.
    assert_eq!(score("learned", &["--variance", "fixed-small"]).1, fixed);
}

#[test]
fn raw_weights_and_shortened_chains_are_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("zip.pt"), dir.path().join("model200000.pt")).unwrap();
    let flags = format!("{FLAGS} --rescale_timesteps True --diffusion_steps 4000 --learn_sigma False");
    let args = ["import", "guided-diffusion", "model200000.pt", "--flags", &flags, "--out", "out"];
    let said = stderr(&succeed(dir.path(), &args));
    assert!(said.contains("raw weights") && said.contains("ema_*.pt"), "{said}");
    assert!(said.contains("4000 steps") && said.contains("every 4th step"), "{said}");
    let scheduler = json(dir.path().join("out/scheduler/scheduler_config.json"));
    assert_eq!(scheduler["trained_betas"].as_array().unwrap().len(), 1000);
}

#[test]
fn what_cannot_be_imported_is_an_error_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let zip = golden("zip.pt");
    let says = |code: i32, file: &str, flags: &str, parts: &[&str]| {
        let said = fail(dir.path(), code, &["import", "guided-diffusion", file, "--flags", flags, "--out", "out"]);
        parts.iter().for_each(|part| assert!(said.contains(part), "'{part}' is not in:\n{said}"));
    };
    says(2, &zip, "--no_such_flag 1", &["--flags", "--no_such_flag"]);
    says(2, &zip, "--image_size", &["--image_size has no value"]);
    says(1, &zip, "--image_size 512", &["--image_size 512", "num_channels"]);
    // Flags of another model: its tensors, not a panic.
    says(1, &zip, "--num_head_channels 32", &["zip.pt", "missing", "--flags must be those"]);
    says(1, "nowhere.pt", FLAGS, &["nowhere.pt"]);
    says(1, ".", FLAGS, &["not a regular file"]);

    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("page.pt", b"<!DOCTYPE html><html>404</html>");
    says(1, "page.pt", FLAGS, &["page.pt", "HTML"]);
    write("pointer.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    says(1, "pointer.pt", FLAGS, &["pointer.pt", "Git LFS"]);
    write("short.pt", &fs::read(&zip).unwrap()[..1000]);
    says(1, "short.pt", FLAGS, &["short.pt", "truncated"]);
    write("empty.pt", b"");
    says(1, "empty.pt", FLAGS, &["empty.pt", "empty (0 bytes)"]);
    // A stream whose object calls a function: named, not called.
    let mut evil = fs::read(golden("legacy.pt")).unwrap();
    let at = evil.windows(11).position(|window| window == b"ccollection").unwrap();
    evil.splice(at..at, *b"cos\nsystem\nX\x04\0\0\0exit\x85R0");
    write("evil.pt", &evil);
    says(1, "evil.pt", FLAGS, &["evil.pt", "os.system", "refused"]);
    // Nothing was left behind, and what is there is not overwritten.
    assert!(!dir.path().join("out/model_index.json").exists());
    fs::create_dir_all(dir.path().join("out")).unwrap();
    write("out/notes.txt", b"mine");
    says(1, &zip, FLAGS, &["out is not empty"]);
    let said = fail(dir.path(), 2, &["import", "stylegan", &zip, "--out", "o"]);
    assert!(said.contains("stylegan") && said.contains("improved-diffusion"), "{said}");
}
