//! The public functions, as the sources have them.

/// Public functions that are no kernels.
const NO_KERNELS: [&str; 5] = ["scratch_bytes", "release_scratch", "is_winograd", "is_bf16", "kept_tile"];

/// The names of all public kernels, those of [`sfumato_cpu::fresh`] with their module before them.
pub(crate) fn public_functions() -> Vec<String> {
    let exported = include_str!("../../src/lib.rs").split("pub use ").skip(1);
    let exported = exported.filter_map(|text| text.split(';').next()?.split_once("::"));
    let exported = exported.flat_map(|(_, names)| names.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let winograd = functions(include_str!("../../src/winograd/mod.rs"));
    let kernels = exported.chain(winograd).filter(|name| name.starts_with(|c: char| c.is_lowercase()));
    let kernels = kernels.filter(|name| !NO_KERNELS.contains(name)).map(str::to_owned);
    let mut names: Vec<String> = kernels.chain(["Filters::new", "Filters::with"].map(str::to_owned)).collect();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/fresh")).expect("the module is a folder") {
        let text = std::fs::read_to_string(file.expect("its files are listed").path()).expect("they are text");
        names.extend(functions(&text).map(|name| format!("fresh::{name}")));
    }
    assert!(names.len() >= 69, "{} kernels were found", names.len());
    names
}

fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("\npub fn ").skip(1).filter_map(|text| text.split(['(', '<']).next())
}

/// The kernel that a call names.
pub(crate) fn first_word(what: &str) -> &str {
    what.split([' ', ',']).next().unwrap_or(what)
}
