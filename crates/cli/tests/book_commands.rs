//! What the book says of the program: its commands have the flags they are given, its configurations are read, its pictures are
//! those of the commands beside them.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use common::{stdout, succeed};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page of the book, and the README.
fn pages() -> Vec<(PathBuf, String)> {
    let (mut pages, mut pending) = (vec![root().join("README.md")], vec![root().join("docs")]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block.to_owned()).collect()
}

/// The program's commands in `sh` blocks, as words after `sfumato`; those of `cargo xtask` that run the program too.
fn commands() -> Vec<(PathBuf, Vec<String>)> {
    const OWN: [&str; 11] = [
        "test",
        "ci",
        "bench",
        "evidence",
        "gpu",
        "conformance",
        "dataset",
        "book",
        "report-check",
        "serve-check",
        "help",
    ]; // xtask's
    let mut commands = Vec::new();
    for (path, page) in pages() {
        for block in blocks(&page, "sh") {
            for line in block.replace("\\\n", " ").lines() {
                let line = line.split(" #").next().unwrap_or_default().trim();
                let rest = line.strip_prefix("sfumato ").or_else(|| line.strip_prefix("cargo xtask "));
                let words: Vec<String> = rest.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
                if words.first().is_some_and(|word| !OWN.contains(&word.as_str())) {
                    commands.push((path.clone(), words));
                }
            }
        }
    }
    commands
}

#[test]
fn every_flag_in_a_command_of_the_book_is_known_to_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let commands = commands();
    assert!(commands.len() > 15, "{commands:?}");
    for (page, words) in commands {
        let depth = if words[0] == "schedule" { 2 } else { 1 };
        let mut args: Vec<&str> = words[..depth].iter().map(String::as_str).collect();
        args.push("--help");
        let help = stdout(&succeed(dir.path(), &args));
        let known: BTreeSet<&str> = help
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')))
            .filter(|word| word.starts_with("--"))
            .collect();
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let name = flag.split('=').next().unwrap();
            assert!(known.contains(name), "{}: sfumato {} has no {name}", page.display(), words.join(" "));
        }
    }
}

#[test]
fn every_configuration_of_the_book_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut found = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "toml") {
            found += 1;
            fs::write(dir.path().join("c.toml"), &block).unwrap();
            let args = ["train", "--config", "c.toml", "--print-config"];
            let printed = stdout(&succeed(dir.path(), &args)).parse::<toml::Table>().unwrap();
            for section in block.parse::<toml::Table>().unwrap().keys() {
                assert!(printed.contains_key(section), "{}: {section}", page.display());
            }
        }
    }
    assert!(found >= 2, "{found}");
}

#[test]
fn every_plot_of_the_book_is_what_the_command_beside_it_draws() {
    let dir = tempfile::tempdir().unwrap();
    let mut drawn = BTreeSet::new();
    for (page, words) in commands() {
        let Some(at) = words.iter().position(|word| word.starts_with("docs/plots/")) else { continue };
        let committed = root().join(&words[at]);
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args[at] = "plot.svg";
        succeed(dir.path(), &args);
        let (ours, theirs) = (fs::read(dir.path().join("plot.svg")).unwrap(), fs::read(&committed).unwrap());
        assert!(ours == theirs, "{}: `sfumato {}` draws another picture", page.display(), words.join(" "));
        assert!(theirs.len() < 100_000, "{} has {} bytes", committed.display(), theirs.len());
        drawn.insert(committed.file_name().unwrap().to_owned());
    }
    let kept = fs::read_dir(root().join("docs/plots")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(drawn, kept, "the first are drawn by commands of the book, the second are in docs/plots");
}
