//! Clients that are slow, silent or gone: they keep nobody waiting.

use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};

use crate::{
    client::{connect, request, sample_with},
    server::{Server, short},
};

/// Reads what is left, and insists that the server has closed.
fn closed(mut stream: std::net::TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server keeps the connection"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn silent_clients_keep_nobody_waiting_and_are_sent_away() {
    let server = Server::of_squares();
    let post = request("POST", "/sample", &[("Content-Type", "application/json")], b"{\"seed\": 1}");
    let begun = |bytes: &[u8]| {
        let mut stream = connect(server.port);
        stream.write_all(bytes).unwrap();
        stream
    };
    // Nothing at all, half a head, a head without an end, half a body.
    let mut silent: Vec<_> = (0..40).map(|_| begun(b"")).collect();
    silent.extend((0..40).map(|_| begun(b"GET / HT")));
    silent.extend((0..40).map(|_| begun(b"GET / HTTP/1.1\r\nHost: localhost\r\n")));
    let half: Vec<_> = (0..40).map(|_| begun(&post[..post.len() - 4])).collect();
    // They have been let in before this one.
    let answer = sample_with(server.port, &[("Accept", "image/png")], &short(1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    for stream in silent {
        let said = closed(stream);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    for stream in half {
        assert!(closed(stream).starts_with("HTTP/1.1 408"));
    }
}

#[test]
fn more_connections_than_there_is_room_for_are_told_so() {
    let server = Server::of_squares();
    let mut idle: Vec<_> = (0..256).map(|_| connect(server.port)).collect();
    // Those that came first are sent away after a while: on a slow machine there may be room for some more.
    let answer = loop {
        let mut late = connect(server.port);
        late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut answer = String::new();
        if late.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            break answer;
        }
        idle.push(late);
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 5"), "{answer}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    let value: serde_json::Value = body.parse().unwrap();
    assert_eq!(value["error"], "too many connections are open");
    drop(idle);
    crate::server::wait_until("room", || {
        let mut stream = connect(server.port);
        let _ = stream.write_all(&request("GET", "/model", &[], &[]));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.1 200")
    });
}

#[test]
fn a_client_that_sends_one_request_after_the_other_is_answered_in_that_order() {
    let server = Server::of_squares();
    let mut stream = connect(server.port);
    let keep =
        |path: &str| String::from_utf8(request("GET", path, &[], &[])).unwrap().replace("Connection: close\r\n", "");
    stream.write_all((keep("/nothing") + &keep("/model")).as_bytes()).unwrap();
    stream.write_all(&request("DELETE", "/", &[], &[])).unwrap();
    let said = closed(stream);
    let places: Vec<usize> =
        ["HTTP/1.1 404", "HTTP/1.1 200", "HTTP/1.1 405"].map(|part| said.find(part).unwrap()).into();
    assert!(places.is_sorted(), "{said}");
}
