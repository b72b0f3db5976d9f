//! Streams that are closed, full or broken, and every command: no panic, the documented exit codes, and no work lost.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod every_way;
mod signals;
mod tools;
