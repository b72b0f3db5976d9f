//! What the server draws: the same pictures as `sfumato sample`, shown as they emerge.

use std::{io::Cursor, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    client::{Events, exchange, get, request, sample, sample_with},
    common::succeed,
    queue::{blocked, delete},
    server::{CLASSES, Server},
};

/// The size and the pixels of a PNG file.
fn pixels(png: &[u8]) -> ((u32, u32), Vec<u8>) {
    let image = image::load_from_memory_with_format(png, image::ImageFormat::Png).unwrap().into_luma8();
    (image.dimensions(), image.into_raw())
}

/// What a PNG file says of how it was made.
fn record(file: &[u8]) -> Value {
    let reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter().map(|text| (text.keyword.clone(), text.text.clone()));
    let other = info.utf8_text.iter().map(|text| (text.keyword.clone(), text.get_text().unwrap()));
    let found = latin.chain(other).find(|(keyword, _)| keyword == "sfumato").map(|(_, text)| text);
    found.expect("the file has a record").parse().unwrap()
}

/// What `sfumato sample` draws with the same settings.
fn of_sample(dir: &Path, settings: &Value) -> Vec<Vec<u8>> {
    let out = format!("out-{}", settings["sampler"].as_str().unwrap());
    let mut args = vec!["sample".to_owned(), "--model".into(), CLASSES.into(), "--null-class".into(), "10".into()];
    args.extend(["--out".to_owned(), out.clone(), "--threads".to_owned(), "2".to_owned()]);
    for (name, value) in settings.as_object().unwrap() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(bounds) if name == "guidance_interval" => format!("{},{}", bounds[0], bounds[1]),
            Value::Array(sides) => format!("{}x{}", sides[0], sides[1]),
            other => other.to_string(),
        };
        let name = name.replace('_', "-");
        args.push(if name == "karras" { format!("--karras={value}") } else { format!("--{name}") });
        if name != "karras" {
            args.push(value);
        }
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    succeed(dir, &args);
    let num = settings["num"].as_u64().unwrap();
    (0..num).map(|i| std::fs::read(dir.join(&out).join(format!("sample-{i:05}.png"))).unwrap()).collect()
}

#[test]
fn the_pictures_are_those_of_sample_for_every_sampler() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of_classes();
    let model = get(server.port, "/model").json();
    let samplers = model["samplers"].as_array().unwrap();
    assert!(samplers.len() >= 5, "{model}");
    for (n, sampler) in samplers.iter().enumerate() {
        let n = n as u64;
        let mut settings = json!({
            "num": 1 + n % 3, "seed": u64::MAX - n, "sampler": sampler["name"], "steps": 3 + n, "guidance": 1.5 + n as f64,
            "image_size": [16, 20 + 4 * n], "spacing": "trailing",
        });
        if n % 2 == 1 {
            settings["class"] = json!(n);
        }
        if n % 3 == 1 {
            settings["guidance_interval"] = json!([0.25, 2.5]);
        }
        for option in sampler["options"].as_array().unwrap() {
            let name = option.as_str().unwrap();
            settings[name] = match name {
                "eta" => json!(0.5),
                "order" => json!(3),
                _ => json!(true),
            };
        }
        let id = sample(server.port, "test", &settings);
        let done = Events::of(server.port, &id).wait_for("done");
        let expected = of_sample(dir.path(), &settings);
        let paths = done["pictures"].as_array().unwrap();
        assert_eq!(paths.len(), expected.len());
        for (i, (path, expected)) in paths.iter().zip(&expected).enumerate() {
            let answer = get(server.port, path.as_str().unwrap());
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
            assert!(pixels(&answer.body) == pixels(expected), "picture {i} of {settings}");
            // With the same texts: whatever `sample` takes down, so does the page.
            let told = record(&answer.body);
            assert_eq!(told, record(expected), "picture {i} of {settings}");
            assert!(answer.body == *expected, "picture {i} of {settings}");
            assert_eq!(told["index"], json!(i));
            for (name, value) in settings.as_object().unwrap().iter().filter(|(name, _)| *name != "num") {
                let value = if name == "guidance_interval" { &json!("0.25,2.5") } else { value };
                assert_eq!(&told[name], value, "{name} of {told}");
            }
            // All classes in turn, and this picture has one of them.
            assert_eq!(told["class"], settings.get("class").cloned().unwrap_or(json!(i)), "{told}");
        }
        assert_eq!(get(server.port, &format!("/jobs/{id}/{}.png", paths.len())).status, 404);
    }
}

#[test]
fn a_job_is_seen_step_by_step_and_its_pictures_as_they_emerge() {
    let server = Server::of_squares();
    let id = sample(server.port, "test", &json!({ "num": 2, "steps": 12, "sampler": "ddpm" }));
    let events: Vec<_> = Events::of(server.port, &id).collect();
    let (last, done) = events.last().unwrap();
    assert_eq!((last.as_str(), done["pictures"].as_array().unwrap().len()), ("done", 2), "{events:?}");
    assert_eq!(done["settings"]["image_size"], json!([8, 8]));
    let steps: Vec<u64> =
        events.iter().filter(|(name, _)| name == "step").map(|(_, data)| data["done"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted() && steps.iter().all(|done| *done <= 12), "{steps:?}");
    // Whoever comes late sees the end.
    let again: Vec<_> = Events::of(server.port, &id).collect();
    assert_eq!((again.len(), again[0].0.as_str()), (1, "done"));

    // It is watched before it is drawn, so that its first step is seen as well.
    let server = Server::of_classes();
    let first = blocked(&server);
    let id = sample(server.port, "test", &json!({ "num": 4, "steps": 6, "image_size": 112, "sampler": "ddpm" }));
    let events = Events::of(server.port, &id);
    delete(&server, &first);
    let mut looks = 0;
    for (name, data) in events {
        if let Some(look) = data.get("looks") {
            assert_eq!((name.as_str(), data["total"].as_u64()), ("step", Some(6)));
            let pictures = look["pictures"].as_array().unwrap();
            let sizes: Vec<_> =
                pictures.iter().map(|png| pixels(&BASE64_STANDARD.decode(png.as_str().unwrap()).unwrap()).0).collect();
            assert_eq!(sizes, [(112, 112); 4]);
            looks += 1;
        }
    }
    assert!(looks >= 1);
}

#[test]
fn a_saved_picture_is_made_again_by_sample() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of_classes();
    let png = [("Accept", "image/png")];
    let settings = json!({ "seed": 11, "class": 3, "guidance": 2, "sampler": "unipc", "steps": 6 });
    let saved = sample_with(server.port, &png, &settings).body;
    std::fs::write(dir.path().join("saved.png"), &saved).unwrap();
    succeed(dir.path(), &["sample", "--like", "saved.png", "--out", "again"]);
    assert!(std::fs::read(dir.path().join("again/sample-00000.png")).unwrap() == saved);
    let said = succeed(dir.path(), &["info", "saved.png"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("unipc") && said.contains(CLASSES), "{said}");
}

#[test]
fn one_picture_is_the_answer_where_that_is_asked_for() {
    let server = Server::of_squares();
    let png = [("Accept", "image/png")];
    let answer = sample_with(server.port, &png, &json!({ "seed": 3 }));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    assert_eq!(pixels(&answer.body).0, (8, 8));
    assert_eq!(answer.body, sample_with(server.port, &png, &json!({ "seed": 3, "num": null })).body);
    assert!(pixels(&answer.body) != pixels(&sample_with(server.port, &png, &json!({ "seed": 4 })).body));
    let two = sample_with(server.port, &png, &json!({ "num": 2 }));
    assert_eq!(two.status, 400);
    assert!(two.error().contains("num must be 1"), "{}", two.error());
}

#[test]
fn the_page_and_the_facts_come_with_headers_that_keep_others_out() {
    let server = Server::of_classes();
    let page = get(server.port, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<!DOCTYPE html>") && page.text().ends_with("</html>\n"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let model = get(server.port, "/model");
    assert_eq!(model.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(model.header("access-control-allow-origin"), None);
    let model = model.json();
    assert_eq!((&model["shape"], &model["classes"]), (&json!([1, 28, 28]), &json!(10)));
    assert_eq!(
        (&model["guidance"], &model["sampler"], &model["size_divisor"]),
        (&json!(true), &json!("ddpm"), &json!(4))
    );
    let names: Vec<&str> = model["samplers"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(["ddpm", "ddim", "dpm-solver++", "euler", "heun"].iter().all(|name| names.contains(name)), "{names:?}");
    for path in ["/", "/model"] {
        let head = exchange(server.port, &request("HEAD", path, &[], &[]));
        let length = get(server.port, path).body.len().to_string();
        assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some(length.as_str())));
    }
}
