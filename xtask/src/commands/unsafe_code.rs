//! Where `unsafe` may stand: a step of `cargo xtask ci`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::cargo;

/// The crate that has it.
const CRATE: &str = "crates/cpu/";
/// Files outside of that crate that need it: an allocator is an `unsafe` trait.
const ALLOCATORS: [&str; 2] = ["crates/cli/src/allocator.rs", "crates/model/tests/common/memory.rs"];
/// Folders that hold the workspace's code.
const FOLDERS: [&str; 4] = ["benches", "crates", "tests", "xtask"];

/// Fails if a source file outside of `sfumato-cpu` and the allocators has `unsafe` in it.
///
/// The compiler checks libraries and programs, which forbid it; tests, benchmarks and examples are programs of their own.
pub(super) fn check_unsafe() -> anyhow::Result<()> {
    let root = cargo::root();
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources(&root.join(folder), &mut files)?;
    }
    let mut found = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        if may_have_it(&name) {
            continue;
        }
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        found.extend(lines_with_it(&text).into_iter().map(|line| format!("{name}:{line}")));
    }
    ensure!(
        found.is_empty(),
        "unsafe code belongs into crates/cpu, behind a safe function; it is also in {}",
        found.join(", ")
    );
    println!("-- {} source files have no unsafe code outside of crates/cpu and the allocators", files.len());
    Ok(())
}

fn may_have_it(name: &str) -> bool {
    name.starts_with(CRATE) || ALLOCATORS.contains(&name)
}

/// All Rust files under a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Numbers of the lines that begin something unsafe: a block, a function, an implementation, a trait, an attribute.
fn lines_with_it(text: &str) -> Vec<usize> {
    let begins = |after: &str| {
        let after = after.trim_start();
        ["{", "fn ", "impl", "extern", "trait", "("].iter().any(|word| after.starts_with(word))
    };
    let numbered = text.lines().enumerate().filter(|(_, line)| {
        let code = line.split("//").next().unwrap_or("");
        let mut parts = code.split(concat!("un", "safe"));
        let mut before = parts.next().unwrap_or("");
        // The word by itself, which `unsafe_code` is not.
        parts.any(|after| !std::mem::replace(&mut before, after).ends_with(is_of_a_name) && begins(after))
    });
    numbered.map(|(i, _)| i + 1).collect()
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_functions_and_implementations_are_found_and_words_are_not() {
        let word = concat!("un", "safe");
        for code in ["{ f() }", " { f() };", " fn f()", " impl Send for X {}", " extern \"C\" {}", "(no_mangle)]"] {
            assert_eq!(lines_with_it(&format!("fn a() {{}}\nlet x = {word}{code}\n")), [2], "{code}");
        }
        for text in [
            format!("#![forbid({word}_code)]"),
            format!("fn check_{word}() {{}}"),
            format!("// {word} {{"),
            format!("\"has {word} code\""),
        ] {
            assert!(lines_with_it(&text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_allowed_is_there() {
        for file in ALLOCATORS {
            let text = std::fs::read_to_string(cargo::root().join(file)).unwrap();
            assert!(!lines_with_it(&text).is_empty(), "{file} needs no exception any more");
        }
    }
}
