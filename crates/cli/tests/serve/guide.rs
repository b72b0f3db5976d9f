//! The commands of the guide, as they stand there.

use std::{path::Path, process::Command};

use crate::{common::stderr, server::Server};

/// The blocks of shell commands in the guide that call `curl`.
fn blocks() -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/serve.md");
    let text = std::fs::read_to_string(guide).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block.to_owned()).filter(|block| block.contains("curl ")).collect()
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    let blocks = blocks();
    assert!(blocks.len() >= 4, "{blocks:?}");
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not tried: there is no curl");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of_classes();
    let address = format!("http://127.0.0.1:{}", server.port);
    for block in blocks {
        let script = block.replace("http://127.0.0.1:7860", &address);
        let output = Command::new("sh").args(["-e", "-c", &script]).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{block}\n{said}\n{}", stderr(&output));
        assert!(!said.contains("\"error\""), "{block}\n{said}");
        if script.contains("/events") {
            assert!(said.contains("event: done") || said.contains("event: cancelled"), "{block}\n{said}");
        }
    }
    let picture = std::fs::read(dir.path().join("picture.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    assert!(image::load_from_memory(&picture).is_ok());
}
