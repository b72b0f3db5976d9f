//! Going on with a run: wherever it was moved, with other settings, after a divergence, on data that has changed.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod divergence;
mod place;
mod settings;
mod tools;
