//! What follows from one pass over data, on data whose diffusion is known exactly.

mod common;
mod gaussian;
mod learned;
mod mixture;
mod refusals;
