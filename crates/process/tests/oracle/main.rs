//! Oracles against Bayes' rule, quadrature and samples.

mod exact;
mod two_sample;
