//! What `cargo xtask bench` measures: the networks, a fixed batch, and the steps that are timed.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`workload`] | the two networks, with the batch sizes they are measured at |
//! | [`batch`] | a batch that other programs can read too |
//! | [`training`] | one step of the trainer: loss, gradient, clipping, Adam |
//! | [`sampling`] | network evaluations and DDIM |
//! | [`cost`] | how many multiplications a network takes, and how fast Winograd's algorithm could do them |
//! | [`measure`] | times, medians, peak memory, thread pools |
//!
//! # Example
//! ```
//! use burn::backend::{Autodiff, Flex};
//! use sfumato_bench::{training::Training, workload::Workload};
//!
//! let tiny = Workload::small().with_batch(2).with_size(8);
//! let mut training = Training::<Autodiff<Flex>>::new(&tiny, &Default::default())?;
//! let first = training.step();
//! assert!(first.loss > 0.0 && first.grad_norm > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod batch;
pub mod cost;
pub mod measure;
pub mod sampling;
pub mod training;
pub mod workload;
