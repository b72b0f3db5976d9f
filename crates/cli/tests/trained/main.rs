//! Models that diffusers has trained and written, in float16 as the hub has them: opened, drawn from, scored, guided and written again.
//!
//! `golden/trained/train.py` trained them on the embedded images, and `golden/trained/make.py` recorded what diffusers makes of
//! them. `--nocapture` prints the differences.

mod classes;
#[path = "../common/mod.rs"]
mod common;
mod directories;
mod golden;
#[cfg(feature = "flex")]
mod losses;
mod samples;
mod scores;
