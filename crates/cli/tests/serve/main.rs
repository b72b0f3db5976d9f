//! `sfumato serve` as its clients see it: a program that listens, spoken to by a small client of the standard library.

mod client;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod guide;
mod pictures;
mod queue;
mod refusals;
mod server;
mod slow;
