//! The server under test.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::PATIENCE,
    common::{GOLDEN, sfumato},
};

/// A class-conditional model of 28×28 grey pictures with 1000 steps.
pub(crate) const CLASSES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trained/classes");

/// A server that listens, and ends with the test.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Server {
    /// A server of a model of 8×8 grey pictures with twelve steps.
    pub(crate) fn of_squares() -> Self {
        Self::of(&format!("{GOLDEN}/model"), &[])
    }

    /// A server of [`CLASSES`] whose last class stands for any.
    pub(crate) fn of_classes() -> Self {
        Self::of(CLASSES, &["--null-class", "10"])
    }

    /// A server of `model` on a free port.
    pub(crate) fn of(model: &str, args: &[&str]) -> Self {
        let mut command = sfumato(Path::new("."));
        command.args(["serve", "--model", model, "--port", "0", "--threads", "2"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix('/'));
        match port.and_then(|port| port.parse().ok()) {
            Some(port) => Self { child, stdout, port },
            None => {
                let mut said = String::new();
                child.kill().unwrap();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("no address but {line:?}: {said}");
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end: what it has said on stderr, and how it ended.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let mut more = String::new();
        self.stdout.read_to_string(&mut more).unwrap();
        assert_eq!(more, "", "one line goes to stdout");
        (status, said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings whose drawing takes minutes, in steps of a fraction of a second: what follows waits for it until it is cancelled.
pub(crate) fn long() -> Value {
    json!({ "num": 16, "image_size": 112, "steps": 1000, "sampler": "ddpm" })
}

/// Settings whose drawing takes no time.
pub(crate) fn short(seed: u64) -> Value {
    json!({ "seed": seed, "steps": 2, "image_size": 8 })
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
