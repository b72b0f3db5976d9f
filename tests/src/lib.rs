//! What crosses crates. Tests of the program itself stand beside it, in `crates/cli/tests`, where cargo builds it for
//! them; here are the code blocks of the README and of the documentation, compiled and run.

/// The README's example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
