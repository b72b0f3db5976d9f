//! Requests that are wrong, or not meant well: each gets an answer, and the server goes on.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;

use crate::{
    client::{Answer, exchange, get, request, sample, sample_with},
    server::{Server, short},
};

/// The server still does what it is for.
fn still_works(server: &Server) {
    let answer = sample_with(server.port, &[("Accept", "image/png")], &short(1));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn settings_that_are_wrong_are_named() {
    let server = Server::of_classes();
    for (settings, parts) in [
        (json!({ "num": 0 }), &["num must be a whole number from 1 to 64 (found 0)"][..]),
        (json!({ "num": 65 }), &["from 1 to 64"]),
        (json!({ "num": "many" }), &["num must be", "(found \"many\")"]),
        (json!({ "seed": -1 }), &["seed must be a whole number, at least 0 (found -1)"]),
        (json!({ "steps": 1001 }), &["steps must be a whole number from 1 to 1000"]),
        (json!({ "steps": 2.5 }), &["steps", "2.5"]),
        (json!({ "sampler": "dpm-solver" }), &["sampler must be one of ddpm", "did you mean \"dpm-solver++\"?"]),
        (json!({ "class": 10 }), &["class 10", "0 to 9"]),
        (json!({ "class": "coat" }), &["class must be a number from 0 on (found \"coat\")"]),
        (json!({ "guidance": -1 }), &["guidance must be 0 or a number above it"]),
        (json!({ "image_size": 30 }), &["image_size 30x30", "multiples of 4"]),
        (json!({ "image_size": [32] }), &["image_size must be a side or [height, width]"]),
        (json!({ "image_size": 116 }), &["image_size must be", "of 1 to 112 pixels (found 116)"]),
        (json!({ "sampler": "ddpm", "eta": 0.5 }), &["eta 0.5", "only ddim"]),
        (json!({ "eta": 2 }), &["eta must be a number from 0 to 1"]),
        (json!({ "order": 4, "sampler": "dpm-solver++" }), &["order", "from 1 to 3"]),
        (json!({ "karras": true, "sampler": "ddim" }), &["karras true", "sampler is ddim"]),
        (json!({ "spacing": "best" }), &["spacing must be one of leading, linspace, trailing (found \"best\")"]),
        (json!({ "guidance_interval": [3, 0.3] }), &["guidance_interval must be two noise levels", "(found [3,0.3])"]),
        (json!({ "guidance_interval": "0.3,3" }), &["guidance_interval must be two noise levels"]),
        (json!({ "guidance_interval": [-1, null] }), &["(found [-1,null])"]),
        (json!({ "stepz": 3 }), &["unknown field \"stepz\"; did you mean \"steps\"?"]),
        (json!([1, 2]), &["JSON object"]),
        (json!("x".repeat(1000)), &["JSON object"]),
    ] {
        let answer = sample_with(server.port, &[], &settings);
        assert_eq!(answer.status, 400, "{settings}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        for part in parts {
            assert!(answer.error().contains(part), "{settings}: '{part}' is not in: {}", answer.error());
        }
    }
    let plain = Server::of_squares();
    for (settings, part) in [(json!({ "class": 1 }), "not class-conditional"), (json!({ "guidance": 2 }), "guidance")] {
        let answer = sample_with(plain.port, &[], &settings);
        assert!(answer.status == 400 && answer.error().contains(part), "{}", answer.text());
    }
    still_works(&server);
}

/// A request to `/sample` as it stands here.
fn raw(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    exchange(server.port, &request("POST", "/sample", headers, body))
}

#[test]
fn bodies_that_are_no_settings_are_refused() {
    let server = Server::of_squares();
    let json = ("Content-Type", "application/json");
    for body in [&b""[..], b"{", b"{\"seed\": }", b"\xff\xfe\x00", b"nul", &b"[".repeat(20_000), b"{\"a\":NaN}"] {
        let answer = raw(&server, &[json], body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.error().len() < 300);
    }
    // Too long: by what it says, by what it sends, and by far.
    for length in [(64 << 10) + 1, 300_000, 3 << 20] {
        let spaces = vec![b' '; length.min(300_000)];
        let mut bytes = request("POST", "/sample", &[json], &[]);
        let head = String::from_utf8(bytes).unwrap().replace("Content-Length: 0", &format!("Content-Length: {length}"));
        bytes = head.into_bytes();
        bytes.extend(&spaces);
        let answer = exchange(server.port, &bytes);
        assert_eq!(answer.status, 413, "{length}: {}", answer.text());
        assert!(answer.error().contains("65536"));
    }
    let chunk = format!("{:x}\r\n{}\r\n", 70_000, " ".repeat(70_000));
    let head = "POST /sample HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let answer = exchange(server.port, format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n").as_bytes());
    assert_eq!(answer.status, 413);
    // Exactly as long as is allowed.
    let mut full = b"{\"seed\": 5}".to_vec();
    full.resize(64 << 10, b' ');
    assert_eq!(raw(&server, &[json], &full).status, 202);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        assert_eq!(raw(&server, &[("Content-Type", kind)], b"{}").status, 415);
    }
    assert_eq!(raw(&server, &[], b"{}").status, 415);
    assert_eq!(raw(&server, &[("Content-Type", "application/json; charset=utf-8")], b"{}").status, 202);
    still_works(&server);
}

#[test]
fn other_names_and_other_sites_are_refused() {
    let server = Server::of_squares();
    let id = sample(server.port, "test", &short(1));
    let json = ("Content-Type", "application/json");
    for host in ["example.org", "example.org:7860", "localhost.example.org", "192.168.0.1", ""] {
        for path in ["/", "/model", "/nothing", &format!("/jobs/{id}")] {
            let answer = exchange(server.port, &request("GET", path, &[("Host", host)], &[]));
            assert_eq!(answer.status, 403, "{host} {path}");
        }
        assert_eq!(raw(&server, &[("Host", host), json], b"{}").status, 403);
    }
    for host in ["localhost", "127.0.0.1:7860", "[::1]", "LOCALHOST:1"] {
        assert_eq!(exchange(server.port, &request("GET", "/model", &[("Host", host)], &[])).status, 200, "{host}");
    }
    let nameless = exchange(server.port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(nameless.status, 400);
    for origin in ["https://example.org", "null", "http://localhost:1", "http://localhost.example.org"] {
        assert_eq!(raw(&server, &[json, ("Origin", origin)], b"{}").status, 403, "{origin}");
        let delete = request("DELETE", &format!("/jobs/{id}"), &[("Origin", origin)], &[]);
        assert_eq!(exchange(server.port, &delete).status, 403);
    }
    let own = [json, ("Origin", "http://localhost:7860"), ("Host", "localhost:7860")];
    assert_eq!(raw(&server, &own, b"{}").status, 202);
    // What a browser asks before it lets a page of another site send JSON.
    let before = [("Origin", "https://example.org"), ("Access-Control-Request-Method", "POST")];
    let answer = exchange(server.port, &request("OPTIONS", "/sample", &before, &[]));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None));
    still_works(&server);
}

#[test]
fn there_are_no_files_and_few_methods() {
    let server = Server::of_squares();
    for path in [
        "/../../etc/passwd",
        "/../../../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/jobs/../../etc/passwd",
        "/jobs/%2e%2e/events",
        "/jobs/..",
        "/jobs/nothing/0.png",
        "/jobs/nothing/events",
        "/etc/passwd",
        "//etc/passwd",
        "/index.html",
        "/favicon.ico",
        "http://localhost/etc/passwd",
        "file:///etc/passwd",
    ] {
        let answer = get(server.port, path);
        assert!([400, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("root:"));
    }
    assert_eq!(get(server.port, "/?anything").status, 200);
    for (method, path, allowed) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/model", "GET, HEAD"),
        ("GET", "/sample", "POST"),
        ("HEAD", "/sample", "POST"),
        ("PUT", "/sample", "POST"),
        ("PATCH", "/jobs/x", "GET, HEAD, DELETE"),
        ("BREW", "/", "GET, HEAD"),
    ] {
        let answer = exchange(server.port, &request(method, path, &[], &[]));
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    still_works(&server);
}

/// Whatever comes: no answer is a success, and the server lives.
#[test]
fn noise_on_the_line_does_no_harm() {
    let server = Server::of_squares();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() });
    let noise = prop::collection::vec(any::<u8>(), 1..300);
    let head = prop::sample::select(vec!["", "GET / HTTP/1.1\r\n", "POST /sample HTTP/1.1\r\nHost: localhost\r\n"]);
    let bytes = (head, noise, any::<bool>())
        .prop_map(|(head, noise, end)| [head.as_bytes(), &noise, if end { b"\r\n\r\n" } else { b"" }].concat());
    runner
        .run(&bytes, |bytes| {
            use std::io::{Read, Write};
            let mut stream = crate::client::connect(server.port);
            // The server may close before all of it is sent.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            prop_assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            Ok(())
        })
        .unwrap();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let mut stream = crate::client::connect(server.port);
    let _ = std::io::Write::write_all(&mut stream, long.as_bytes());
    still_works(&server);
}
