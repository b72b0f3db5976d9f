//! The identities that the crate promises, over random schedules and distributions, and its numbers against mpmath and numpy.

mod best_steps;
mod discrete;
mod gaussians;
mod learned;
mod likelihood;
mod reference;
mod schedules;
mod strategies;
