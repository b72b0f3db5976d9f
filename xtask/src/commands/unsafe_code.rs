//! Where `unsafe` may stand: a step of `cargo xtask ci`.

use anyhow::ensure;

use super::sources::{Source, all_sources};

/// The crate that has it.
const CRATE: &str = "crates/cpu/";
/// Files outside of that crate that need it: an allocator is an `unsafe` trait.
const ALLOCATORS: [&str; 2] = ["crates/cli/src/allocator.rs", "crates/model/tests/common/memory.rs"];

/// Fails if a source file outside of `sfumato-cpu` and the allocators has `unsafe` in it.
///
/// The compiler checks libraries and programs, which forbid it; tests, benchmarks and examples are programs of their own.
pub(super) fn check_unsafe() -> anyhow::Result<()> {
    let files = all_sources()?;
    let mut found = Vec::new();
    for Source { name, text } in files.iter().filter(|file| !may_have_it(&file.name)) {
        found.extend(lines_with_it(text).into_iter().map(|line| format!("{name}:{line}")));
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
    use crate::cargo;

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
