//! A client in a few lines: requests, answers, events.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// A test that waits longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// An answer that has come as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The message of an error.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.text())).to_owned()
    }
}

/// A connection that breaks a test in place of stopping it.
pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends these bytes, and reads what comes until the server closes.
pub(crate) fn exchange(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = connect(port);
    stream.write_all(bytes).unwrap();
    whole(BufReader::new(stream))
}

/// The head and the body of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend(body);
    bytes
}

pub(crate) fn get(port: u16, path: &str) -> Answer {
    exchange(port, &request("GET", path, &[], &[]))
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Asks for pictures, with more headers.
pub(crate) fn sample_with(port: u16, headers: &[(&str, &str)], settings: &Value) -> Answer {
    let headers: Vec<_> = [JSON].into_iter().chain(headers.iter().copied()).collect();
    exchange(port, &request("POST", "/sample", &headers, settings.to_string().as_bytes()))
}

/// Asks for pictures, and gives the job's name.
pub(crate) fn sample(port: u16, client: &str, settings: &Value) -> String {
    let answer = sample_with(port, &[("X-Client", client)], settings);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/jobs/{id}").as_str()));
    id
}

/// How far a job is.
pub(crate) fn state(port: u16, id: &str) -> String {
    get(port, &format!("/jobs/{id}")).json()["state"].as_str().unwrap().to_owned()
}

/// The status and the headers.
fn head(stream: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer comes in time");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer: {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => return (status, headers),
        }
    }
}

fn whole(mut stream: BufReader<TcpStream>) -> Answer {
    let (status, headers) = head(&mut stream);
    let mut body = Vec::new();
    stream.read_to_end(&mut body).expect("the body comes in time");
    Answer { status, headers, body }
}

/// An event: its name, and what it says.
pub(crate) type Event = (String, Value);

/// The events of a job, for as long as it is not dropped.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    /// What has come and is no whole event yet.
    text: String,
}

impl Events {
    pub(crate) fn of(port: u16, id: &str) -> Self {
        let mut stream = connect(port);
        stream.write_all(&request("GET", &format!("/jobs/{id}/events"), &[], &[])).unwrap();
        let mut stream = BufReader::new(stream);
        let (status, headers) = head(&mut stream);
        assert_eq!(status, 200, "{headers:?}");
        assert!(headers.contains(&("content-type".into(), "text/event-stream".into())), "{headers:?}");
        assert!(headers.contains(&("transfer-encoding".into(), "chunked".into())), "{headers:?}");
        Self { stream, text: String::new() }
    }

    /// Another piece of the body; false at its end.
    fn more(&mut self) -> bool {
        let mut size = String::new();
        self.stream.read_line(&mut size).expect("an event comes in time");
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut piece = vec![0; size + 2];
        self.stream.read_exact(&mut piece).expect("a piece comes as a whole");
        self.text += std::str::from_utf8(&piece[..size]).unwrap();
        size > 0
    }

    /// Waits for an event of this name, and gives what it says.
    pub(crate) fn wait_for(&mut self, name: &str) -> Value {
        let found = self.find(|event| event.0 == name);
        found.map(|event| event.1).unwrap_or_else(|| panic!("no event {name} has come"))
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let line = |name| event.lines().find_map(|line| line.strip_prefix(name));
                // Comments keep the connection open.
                if let (Some(name), Some(data)) = (line("event: "), line("data: ")) {
                    return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
                }
            } else if !self.more() {
                return None;
            }
        }
    }
}
