//! The likelihood by the flow against closed forms, finite differences and an independent solver.

mod common;
mod divergence;
mod likelihood;
mod runs;
mod solver;
mod starts;
