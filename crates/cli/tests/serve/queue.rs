//! Many requests: one is drawn at a time, clients take turns, and nobody waits for what nobody wants any more.

use std::io::Write;

use serde_json::Value;

use crate::{
    client::{Answer, Events, connect, exchange, get, request, sample, sample_with, state},
    server::{Server, long, short, wait_until},
};

pub(crate) fn delete(server: &Server, id: &str) -> Answer {
    exchange(server.port, &request("DELETE", &format!("/jobs/{id}"), &[], &[]))
}

/// A job that is being drawn, and keeps the others waiting.
pub(crate) fn blocked(server: &Server) -> String {
    let id = sample(server.port, "first", &long());
    wait_until("the drawing to begin", || state(server.port, &id) == "drawing");
    id
}

#[test]
fn a_job_can_be_cancelled_while_it_is_drawn_and_while_it_waits() {
    let server = Server::of_classes();
    let drawn = blocked(&server);
    let waiting = sample(server.port, "second", &long());
    let mut seen = Events::of(server.port, &waiting);
    assert_eq!(seen.next().unwrap().1["ahead"], 1);
    let mut watched = Events::of(server.port, &drawn);
    watched.wait_for("step");
    assert_eq!(delete(&server, &waiting).status, 200);
    assert_eq!(seen.next().unwrap().0, "cancelled");
    assert!(seen.next().is_none());
    assert_eq!(delete(&server, &drawn).status, 200);
    watched.wait_for("cancelled");
    assert_eq!((state(server.port, &drawn), state(server.port, &waiting)), ("cancelled".into(), "cancelled".into()));
    assert_eq!(get(server.port, &format!("/jobs/{drawn}/0.png")).status, 404);
    // What has ended is forgotten on request.
    assert_eq!(delete(&server, &drawn).status, 200);
    assert_eq!(get(server.port, &format!("/jobs/{drawn}")).status, 404);
    assert_eq!(delete(&server, &drawn).status, 404);
    let next = sample(server.port, "third", &short(1));
    Events::of(server.port, &next).wait_for("done");
    // And is called what it was.
    assert_eq!(delete(&server, &next).json()["state"], "done");
}

#[test]
fn a_page_that_is_closed_cancels_its_job() {
    let server = Server::of_classes();
    let (drawn, waiting) = (blocked(&server), sample(server.port, "second", &long()));
    let [first, second, third] = [&drawn, &drawn, &waiting].map(|id| Events::of(server.port, id));
    drop(third);
    wait_until("the end of what waits", || state(server.port, &waiting) == "cancelled");
    drop(first);
    // Somebody else still watches it: only the last one who leaves ends it.
    let mut second = second;
    let before = second.wait_for("step")["done"].as_u64().unwrap();
    while second.wait_for("step")["done"].as_u64().unwrap() <= before + 1 {}
    drop(second);
    wait_until("the end of what is drawn", || state(server.port, &drawn) == "cancelled");
}

#[test]
fn a_client_that_waits_for_its_picture_and_leaves_is_forgotten() {
    let server = Server::of_classes();
    let drawn = blocked(&server);
    let body = short(1).to_string();
    let headers = [("Content-Type", "application/json"), ("Accept", "image/png"), ("X-Client", "a")];
    let mut stream = connect(server.port);
    stream.write_all(&request("POST", "/sample", &headers, body.as_bytes())).unwrap();
    // Clients take turns: the second job of this one comes after the other's first.
    let second = |id: &str| get(server.port, &format!("/jobs/{id}")).json()["ahead"].as_u64();
    let mine = [sample(server.port, "b", &short(2)), sample(server.port, "b", &short(3))];
    wait_until("the picture to be asked for", || second(&mine[1]) == Some(3));
    drop(stream);
    wait_until("the picture to be forgotten", || second(&mine[1]) == Some(2));
    delete(&server, &drawn);
    Events::of(server.port, &mine[1]).wait_for("done");
}

#[test]
fn a_job_that_nobody_watches_is_drawn_all_the_same() {
    let server = Server::of_classes();
    let id = sample(server.port, "script", &short(1));
    wait_until("the pictures", || state(server.port, &id) == "done");
    let facts = get(server.port, &format!("/jobs/{id}")).json();
    assert_eq!(facts["pictures"], serde_json::json!([format!("/jobs/{id}/0.png")]));
    assert_eq!(get(server.port, &format!("/jobs/{id}/0.png")).status, 200);
}

#[test]
fn clients_take_turns() {
    let server = Server::of_classes();
    let drawn = blocked(&server);
    let greedy: Vec<String> = (0..6).map(|i| sample(server.port, "greedy", &short(i))).collect();
    let modest: Vec<String> = (0..2).map(|i| sample(server.port, "modest", &short(i))).collect();
    let ahead = |id: &String| get(server.port, &format!("/jobs/{id}")).json()["ahead"].as_u64().unwrap();
    let place = |jobs: &[String]| jobs.iter().map(ahead).collect::<Vec<_>>();
    assert_eq!(place(&greedy), [1, 3, 5, 6, 7, 8]);
    assert_eq!(place(&modest), [2, 4]);
    delete(&server, &greedy[0]);
    assert_eq!((place(&greedy[1..]), place(&modest)), (vec![1, 3, 5, 6, 7], vec![2, 4]));
    // The modest client's last job comes before the greedy one's third.
    let mut last = Events::of(server.port, &greedy[5]);
    let mut end = Events::of(server.port, &modest[1]);
    delete(&server, &drawn);
    end.wait_for("done");
    last.wait_for("done");
    let times: Vec<Value> =
        [&modest[1], &greedy[5]].map(|id| get(server.port, &format!("/jobs/{id}")).json()["state"].clone()).into();
    assert_eq!(times, ["done", "done"]);
}

#[test]
fn a_burst_of_two_hundred_requests_does_no_harm() {
    let server = Server::of_classes();
    let drawn = blocked(&server);
    let all_at_once = |name: fn(usize) -> String| -> Vec<Answer> {
        std::thread::scope(|scope| {
            let asks: Vec<_> = (0..200)
                .map(|i| {
                    let port = server.port;
                    scope.spawn(move || sample_with(port, &[("X-Client", &name(i))], &short(i as u64)))
                })
                .collect();
            asks.into_iter().map(|ask| ask.join().unwrap()).collect()
        })
    };
    let count = |answers: &[Answer], status| answers.iter().filter(|answer| answer.status == status).count();
    // One client may fill its share of the queue alone, and others still get in.
    let one = all_at_once(|_| "greedy".to_owned());
    assert_eq!((count(&one, 202), count(&one, 429)), (16, 184));
    let many = all_at_once(|i| format!("client {i}"));
    assert_eq!((count(&many, 202), count(&many, 503)), (48, 152));
    let refused = one.iter().chain(&many).filter(|answer| answer.status != 202);
    for answer in refused {
        assert!(
            answer.header("retry-after").is_some() && answer.error().contains("too many jobs"),
            "{}",
            answer.text()
        );
    }
    // Everything that was taken is drawn.
    delete(&server, &drawn);
    for answer in one.iter().chain(&many).filter(|answer| answer.status == 202) {
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        wait_until("all jobs", || state(server.port, &id) == "done");
    }
}
