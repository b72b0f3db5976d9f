//! How the server starts, where it listens, and how it ends.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    client::{Events, get, sample, state},
    common::{GOLDEN, fail, train_tiny},
    server::{Server, long, wait_until},
};

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    for name in ["INT", "TERM"] {
        let server = Server::of_classes();
        let id = sample(server.port, "test", &long());
        let mut events = Events::of(server.port, &id);
        events.wait_for("step");
        let waiting = sample(server.port, "test", &long());
        let mut waits = Events::of(server.port, &waiting);
        waits.wait_for("waiting");
        server.signal(name);
        // Whoever watches is told.
        assert_eq!(waits.wait_for("cancelled"), json!({}));
        let (status, said) = server.end();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let idle = Server::of_squares();
    get(idle.port, "/");
    idle.signal("INT");
    assert_eq!(idle.end().0.code(), Some(0));
}

/// The drawing takes many minutes. How long one step takes is up to the machine: the end does not wait for more than one.
#[cfg(unix)]
#[test]
fn a_long_step_does_not_hold_up_the_end() {
    let server = Server::of_classes();
    let id = sample(server.port, "test", &json!({ "num": 64, "image_size": 112, "steps": 1000 }));
    wait_until("the drawing to begin", || state(server.port, &id) == "drawing");
    let began = Instant::now();
    server.signal("INT");
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_port_that_is_taken_is_an_error_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let model = format!("{GOLDEN}/model");
    let said = fail(dir.path(), 1, &["serve", "--model", &model, "--port", &port]);
    assert!(said.contains(&format!("port {port} of 127.0.0.1 is taken")) && said.contains("--port 0"), "{said}");
    let said = fail(dir.path(), 1, &["serve", "--model", &model, "--port", "0", "--address", "192.0.2.1"]);
    assert!(said.contains("192.0.2.1 is no address of this machine") && said.contains("--address"), "{said}");
    let said = fail(dir.path(), 2, &["serve", "--model", &model, "--address", "example.org"]);
    assert!(said.contains("an IP address"), "{said}");
    let said = fail(dir.path(), 2, &["serve", "--model", &model, "--port", "70000"]);
    assert!(said.contains("--port must be a smaller number"), "{said}");
    let said = fail(dir.path(), 1, &["serve", "--model", "nowhere"]);
    assert!(said.contains("nowhere"), "{said}");
}

#[test]
fn models_that_draw_no_pictures_are_refused_before_anything_listens() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&str> =
        ["train", "--out", "points", "--steps", "1"].iter().chain(crate::common::POINTS).copied().collect();
    crate::common::succeed(dir.path(), &args);
    let said = fail(dir.path(), 1, &["serve", "--model", "points/model", "--port", "0"]);
    assert!(said.contains("draws points") && said.contains("sfumato sample"), "{said}");
}

#[cfg(unix)]
#[test]
fn another_address_than_loopback_is_warned_of() {
    let server = Server::of(&format!("{GOLDEN}/model"), &["--address", "0.0.0.0"]);
    assert_eq!(get(server.port, "/model").status, 200);
    server.signal("INT");
    let (_, said) = server.end();
    assert!(said.contains("warning: anyone on the network can use this page"), "{said}");
    let server = Server::of(&format!("{GOLDEN}/model"), &[]);
    server.signal("INT");
    let (_, said) = server.end();
    assert!(!said.contains("network"), "{said}");
}

#[test]
fn names_of_classes_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let run = train_tiny(dir.path(), "named", &["--steps", "1", "--sample-every", "0", "--class-conditional"]);
    let server = Server::of(run.join("model").to_str().unwrap(), &[]);
    let model = get(server.port, "/model").json();
    let name = model["class_names"][3].as_str().unwrap();
    let id = sample(server.port, "test", &json!({ "class": name.to_uppercase(), "steps": 2 }));
    let done = Events::of(server.port, &id).wait_for("done");
    assert_eq!((&done["settings"]["class"], &done["settings"]["class_name"]), (&json!(3), &json!(name)));
    let notes = done["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().contains("blurred")), "{notes:?}");
}
