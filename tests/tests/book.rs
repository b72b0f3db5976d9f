//! The book in `docs/`: its links lead somewhere, the code and tests that it names exist, its Rust is compiled.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// Files below `folder` with the given ending, by their path from the root.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let root = root();
    let (mut found, mut pending) = (BTreeMap::new(), vec![root.join(folder)]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn pages() -> BTreeMap<String, String> {
    let mut pages = files("docs", ".md");
    pages.insert("README.md".into(), fs::read_to_string(root().join("README.md")).unwrap());
    pages
}

/// The text without fenced blocks, and the blocks with their languages.
fn split(page: &str) -> (String, Vec<(String, String)>) {
    let (mut prose, mut blocks, mut block) = (String::new(), Vec::new(), None::<(String, String)>);
    for line in page.lines() {
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(block.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, Some(language)) => block = Some((language.to_owned(), String::new())),
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(block.is_none(), "a block is not closed");
    (prose, blocks)
}

/// What stands between `open` and `close`, each time.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close).map(|(inside, _)| inside)).collect()
}

/// Heading as it becomes an anchor, on GitHub and in mdBook.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let headings = |path: &str| -> BTreeSet<String> {
        let (prose, _) = split(&pages[path]);
        prose.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
    };
    for (name, page) in &pages {
        let folder = root().join(name).parent().unwrap().to_owned();
        for link in between(&split(page).0, "](", ")") {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let target = if path.is_empty() { root().join(name) } else { folder.join(path) };
            let target = target.canonicalize().unwrap_or_else(|_| panic!("{name}: {link} leads nowhere"));
            if let Some(heading) = heading {
                let target = target.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                assert!(headings(&target).contains(heading), "{name}: {target} has no heading #{heading}");
            }
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let pages = files("docs", ".md");
    let listed: BTreeSet<String> =
        between(&pages["docs/SUMMARY.md"], "](", ")").into_iter().map(|page| format!("docs/{page}")).collect();
    let written: BTreeSet<String> = pages.into_keys().filter(|page| page != "docs/SUMMARY.md").collect();
    assert_eq!(listed, written, "docs/SUMMARY.md lists the first, docs/ holds the second");
}

#[test]
fn every_page_with_rust_is_compiled() {
    let compiled = fs::read_to_string(root().join("tests/src/lib.rs")).unwrap();
    for (name, page) in pages() {
        if split(&page).1.iter().any(|(language, _)| language.starts_with("rust")) {
            assert!(compiled.contains(&format!("include_str!(\"../../{name}\")")), "{name} is not in tests/src/lib.rs");
        }
    }
}

/// mdBook and GitHub agree on fenced blocks; of dollars and backslashes each has its own idea.
#[test]
fn formulas_are_fenced_blocks_with_balanced_braces() {
    let mut formulas = 0;
    for (name, page) in files("docs", ".md") {
        let (prose, blocks) = split(&page);
        let outside: String = prose.split('`').step_by(2).collect(); // of code
        assert!(!outside.contains("$$") && !outside.contains("\\("), "{name} has a formula outside a math block");
        for (_, formula) in blocks.iter().filter(|(language, _)| language == "math") {
            formulas += 1;
            let escaped = formula.replace("\\{", "").replace("\\}", "");
            assert_eq!(escaped.matches('{').count(), escaped.matches('}').count(), "{name}:\n{formula}");
            assert_eq!(formula.matches("\\left").count(), formula.matches("\\right").count(), "{name}:\n{formula}");
        }
    }
    assert!(formulas > 20, "{formulas}");
}

/// The workspace's Rust, and what is defined in it.
struct Sources(Vec<String>);

impl Sources {
    fn read() -> Self {
        Self(["crates", "tests"].iter().flat_map(|folder| files(folder, ".rs").into_values()).collect())
    }

    /// Whether `source` has one of the `kinds` of item by that name.
    fn defines(source: &str, kinds: &[&str], name: &str) -> bool {
        kinds.iter().any(|kind| {
            source
                .match_indices(&format!("{kind} {name}"))
                .any(|(at, found)| !source[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    }

    fn has_function(&self, name: &str) -> bool {
        self.0.iter().any(|source| Self::defines(source, &["fn"], name))
    }

    /// Whether there is such an item: `Type`, `function`, `module::item` or `Type::item`.
    fn has(&self, path: &str) -> bool {
        const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "const", "mod", "type"];
        let segments: Vec<&str> = path.split("::").collect();
        let (name, parent) = (segments[segments.len() - 1], segments.iter().rev().nth(1));
        self.0.iter().any(|source| match parent {
            Some(parent) if parent.starts_with(char::is_uppercase) => {
                let known = Self::defines(source, &["struct", "enum", "trait", "impl", "for"], parent)
                    || source.contains(&format!("> {parent}<"));
                let variant = source.lines().any(|line| line.trim_end_matches(',').trim() == name);
                known && (variant || Self::defines(source, &KINDS, name))
            }
            _ => Self::defines(source, &KINDS, name),
        })
    }
}

/// Names in backticks that could be Rust's.
fn names(text: &str) -> Vec<&str> {
    let is_name = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// Cells of a table's row; `\|` is no border.
fn cells(line: &str) -> Vec<String> {
    let marked = line.replace("\\|", "\u{1}");
    marked.trim().trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

#[test]
fn the_code_and_the_tests_named_beside_the_notes_exist() {
    let sources = Sources::read();
    let table = fs::read_to_string(root().join("docs/notes-to-code.md")).unwrap();
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let cells = cells(line);
        assert_eq!(cells.len(), 3, "{line}");
        if cells[0] == "The notes" {
            continue;
        }
        rows += 1;
        for code in names(&cells[1]) {
            assert!(sources.has(code), "there is no `{code}`, named for: {}", cells[0]);
        }
        let tests = names(&cells[2]);
        assert!(!tests.is_empty() || cells[2].contains("](theory/"), "nothing tests: {}", cells[0]);
        for test in tests {
            assert!(sources.has_function(test), "there is no test `{test}`, named for: {}", cells[0]);
        }
    }
    assert!(rows > 75, "{rows} rows");
}

#[test]
fn the_code_and_the_tests_named_in_the_chapters_exist() {
    let sources = Sources::read();
    let mut checked = 0;
    for (page, text) in files("docs/theory", ".md").into_iter().chain(files("docs/guides", ".md")) {
        let (prose, _) = split(&text);
        // Backticks of one line must not pair with those of the next.
        for name in prose.lines().flat_map(names) {
            // A path, or a sentence such as tests are called.
            let path = name.contains("::");
            if path || name.matches('_').count() >= 4 {
                assert!(
                    if path { sources.has(name) } else { sources.has_function(name) },
                    "{page}: `{name}` does not exist"
                );
                checked += 1;
            }
        }
        for paragraph in prose.split("\n\n") {
            let Some((_, rest)) = paragraph.split_once("Computed by") else { continue };
            assert!(rest.contains("checked") || rest.contains("Checked"), "{page}: computed but not checked:{rest}");
        }
    }
    assert!(checked > 80, "{checked} names");
}

#[test]
fn what_does_not_exist_is_noticed() {
    let sources = Sources::read();
    assert!(
        sources.has("Gaussian::log_density") && sources.has("sampler::ancestral") && sources.has("LikelihoodCdf::Tanh")
    );
    assert!(!sources.has("Gaussian::log_densit") && !sources.has("Gaussians") && !sources.has("Discrete::prior_kl"));
    assert!(!sources.has_function("no_test_is_called_this_or_so_one_hopes_in_vain".trim_end_matches("_in_vain")));
    assert_eq!(anchor(" What is wrong with a schedule"), "what-is-wrong-with-a-schedule");
    assert_eq!(cells(r"| a \| b | `c` | d |"), ["a | b", "`c`", "d"]);
}
