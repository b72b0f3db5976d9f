//! What crosses crates. Tests of the program itself stand beside it, in `crates/cli/tests`, where cargo builds it for
//! them; here are the code blocks of the README and of the book, compiled and run.

#![forbid(unsafe_code)]

/// The README's example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The book's chapters with code; `tests/book.rs` sees that none is left out.
#[cfg(doctest)]
pub mod book {
    #[doc = include_str!("../../docs/theory/probability.md")]
    pub struct Probability;
    #[doc = include_str!("../../docs/theory/forward.md")]
    pub struct Forward;
    #[doc = include_str!("../../docs/theory/reverse.md")]
    pub struct Reverse;
    #[doc = include_str!("../../docs/theory/bound.md")]
    pub struct Bound;
    #[doc = include_str!("../../docs/theory/flow.md")]
    pub struct Flow;
    #[doc = include_str!("../../docs/theory/training.md")]
    pub struct Training;
    #[doc = include_str!("../../docs/guides/schedules.md")]
    pub struct Schedules;
    #[doc = include_str!("../../docs/guides/pictures.md")]
    pub struct Pictures;
    #[doc = include_str!("../../docs/guides/programs.md")]
    pub struct Programs;
}
