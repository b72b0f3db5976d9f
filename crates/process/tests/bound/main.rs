//! The variational bound: its three forms, its two factorisations, and the equalities that tie it to the likelihood.

mod common;
mod continuous;
mod convergence;
mod estimate;
mod forms;
mod gap;
mod paths;
