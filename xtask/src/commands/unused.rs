//! Dependencies that nothing uses: a step of `cargo xtask ci`.

use std::path::Path;

use anyhow::{Context, ensure};

use super::sources::{Source, included, sources};
use crate::cargo;

/// Dependencies that are there for their features: the crate's folder, and the dependency.
const KEPT: [(&str, &str); 8] = [
    // Optional: features of ours turn on what Burn needs of them.
    ("crates/kernels", "burn-flex"),
    ("crates/kernels", "burn-ndarray"),
    // One build of Burn for the program and the tests, see docs/decisions/one-build-profile.md.
    ("crates/kernels", "either"),
    ("crates/kernels", "memchr"),
    ("crates/kernels", "regex"),
    ("crates/kernels", "regex-automata"),
    ("crates/kernels", "regex-syntax"),
    // The tests run on the backend that it turns on.
    ("tests", "sfumato-kernels"),
];
/// Packages whose library has another name.
const LIBRARIES: [(&str, &str); 1] = [("md-5", "md5")];

/// Fails if a crate depends on something that its sources do not name, or for its tests alone.
pub(super) fn check_unused() -> anyhow::Result<()> {
    let root = cargo::root();
    let mut folders = vec![root.join("benches"), root.join("tests"), root.join("xtask")];
    for entry in std::fs::read_dir(root.join("crates")).context("cannot read the folder crates")? {
        folders.push(entry?.path());
    }
    let (mut checked, mut found) = (0, Vec::new());
    for folder in folders.iter().filter(|folder| folder.join("Cargo.toml").is_file()) {
        let name = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('\\', "/");
        let (count, unused) = check_crate(folder, &name)?;
        checked += count;
        found.extend(unused);
    }
    ensure!(found.is_empty(), "unused dependencies: {}", found.join("; "));
    println!("-- {checked} dependencies are used");
    Ok(())
}

/// How many dependencies a crate has, and what is wrong with them.
fn check_crate(folder: &Path, name: &str) -> anyhow::Result<(usize, Vec<String>)> {
    let path = folder.join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut own = sources(&folder.join("src"))?;
    own.extend(included(&own)?);
    let mut others = Vec::new();
    for other in ["tests", "benches", "examples"] {
        others.extend(sources(&folder.join(other))?);
    }
    others.extend(included(&others)?);
    let dependencies = dependencies(&manifest);
    let kept = |package: &str| KEPT.contains(&(name, package));
    let complaints = dependencies.iter().filter(|dependency| !kept(&dependency.package)).filter_map(|dependency| {
        let Dependency { package, dev } = dependency;
        let library = library(package);
        let in_code = own.iter().any(|Source { text, .. }| names(code(text), &library));
        let in_tests = || own.iter().chain(&others).any(|Source { text, .. }| names(code_and_examples(text), &library));
        match (dev, in_code) {
            (false, true) => None,
            (true, _) if in_tests() => None,
            (false, false) if in_tests() => Some(format!("{name}: {package} belongs into dev-dependencies")),
            _ => Some(format!("{name}: {package}")),
        }
    });
    Ok((dependencies.len(), complaints.collect()))
}

#[derive(Debug, PartialEq)]
struct Dependency {
    package: String,
    /// For tests, benchmarks and examples alone.
    dev: bool,
}

/// The dependencies of a manifest that is written as ours are: a line for each.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            continue;
        }
        // Those of one system stand in `target.….dependencies`.
        let dev = section.ends_with("dev-dependencies");
        if (dev || section == "dependencies" || section.ends_with(".dependencies"))
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once(['=', '.'])
        {
            found.push(Dependency { package: name.trim().to_owned(), dev });
        }
    }
    found
}

/// What the code calls a package.
fn library(package: &str) -> String {
    match LIBRARIES.iter().find(|(name, _)| *name == package) {
        Some((_, library)) => (*library).to_owned(),
        None => package.replace('-', "_"),
    }
}

/// Lines that are compiled without tests, which stand last in a file.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

/// Lines that tests are made of: all but comments, and the examples of the documentation.
fn code_and_examples(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("// "))
}

/// Whether one of the lines names a library, in a path or in a `use`.
fn names<'a>(mut lines: impl Iterator<Item = &'a str>, library: &str) -> bool {
    lines.any(|line| {
        line.match_indices(library).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + library.len()..]);
            let other = before.ends_with("::") || before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            !other && (after.starts_with("::") || (before.ends_with("use ") && after.starts_with([';', ' '])))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_out_of_every_section() {
        let manifest = "[package]\nname = \"x\"\nversion.workspace = true\n\n[features]\nflex = [\"dep:a\"]\n\n[dependencies]\n\
                        # A comment = no dependency.\na-b.workspace = true\nc = { workspace = true, optional = true }\n\n\
                        [target.'cfg(unix)'.dependencies]\nd = \"1\"\n\n[dev-dependencies]\ne.workspace = true\n\n\
                        [target.'cfg(unix)'.dev-dependencies]\nf.workspace = true\n\n[lints]\nworkspace = true\n";
        let found: Vec<_> = dependencies(manifest).into_iter().map(|found| (found.package, found.dev)).collect();
        let expected = [("a-b", false), ("c", false), ("d", false), ("e", true), ("f", true)];
        assert_eq!(found, expected.map(|(name, dev)| (name.to_owned(), dev)));
    }

    #[test]
    fn a_library_is_named_by_paths_and_uses_alone() {
        for line in ["use image::Rgb;", "let x = image::open(p);", "use image as i;", "fn f(x: &image::Rgb) {}"] {
            assert!(names(code(line), "image"), "{line}");
        }
        for line in
            ["mod image;", "use crate::image::X;", "an_image::x()", "// image::open", "/// image::open", "imagex::y"]
        {
            assert!(!names(code(line), "image"), "{line}");
        }
        assert!(names(code_and_examples("/// let x = image::open(p);"), "image"));
        let tested = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use image::Rgb;\n}\n";
        assert!(!names(code(tested), "image") && names(code_and_examples(tested), "image"));
        assert_eq!((library("md-5"), library("burn-flex")), ("md5".to_owned(), "burn_flex".to_owned()));
    }

    #[test]
    fn what_is_kept_is_there() {
        for (folder, package) in KEPT {
            let manifest = std::fs::read_to_string(cargo::root().join(folder).join("Cargo.toml")).unwrap();
            let named = dependencies(&manifest).iter().any(|dependency| dependency.package == package);
            assert!(named, "{folder} has no {package} any more: no exception is needed");
        }
    }
}
