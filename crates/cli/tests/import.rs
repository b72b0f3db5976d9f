//! Importing through the program: checkpoints that torch wrote, and files that are none.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{fail, read_npy, stderr, stdout, succeed};

/// The flags of the checkpoints in `golden/openai`.
const FLAGS: &str =
    "--image_size 16 --channel_mult 1,1 --num_channels 32 --num_heads 2 --num_res_blocks 1 --attention_resolutions 8";

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nets/tests/golden/openai").join(name);
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
        succeed(dir.path(), &["sample", "--model", &out, "--num", "2", "--steps", "2", "--out", "samples"]);
        let (shape, values) = read_npy(&dir.path().join("samples/samples.npy"));
        assert_eq!(shape, [2, 3, 16, 16]);
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(stdout(&succeed(dir.path(), &["info", &out])).contains("318691"));
    }
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
    says(1, "empty.pt", FLAGS, &["empty.pt", "neither a zip archive"]);
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
