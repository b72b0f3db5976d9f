//! The families of noise schedules: each a set of parameters with defaults, and the formula for its betas.
//!
//! Every family's `betas` only evaluates its formula; [`NoiseSchedule::from_betas`](crate::NoiseSchedule::from_betas)
//! decides whether the result is a schedule. [`ScheduleConfig`](crate::ScheduleConfig) chooses among them by name.
//!
//! # To add a family
//! 1. Write its file in this folder, after the model of `constant.rs`: a struct with `steps` and the other parameters, `Default`, a
//!    method `betas` with its formula, and one line `family!` that lists the parameters.
//! 2. Name it here, in three places: `mod`, `pub use`, and a line with its name and its kind in `each_family`.
//!
//! `ScheduleConfig` then reads and writes it in files and on the command line, and the tests of `config` try it. The help of
//! `sfumato schedule` lists the names in `crates/cli/src/args/schedule.rs`. diffusers need not know it: what it has no name for is
//! written as `trained_betas`.

mod constant;
mod cosine;
mod explicit;
mod family;
mod formulas;
mod jensen_shannon;
mod linear;
mod linear_log_snr;
mod notes_cosine;
mod quadratic;
mod scaled_linear;
mod sigmoid;

pub use constant::Constant;
pub use cosine::Cosine;
pub use explicit::Explicit;
pub use jensen_shannon::JensenShannon;
pub use linear::Linear;
pub use linear_log_snr::LinearLogSnr;
pub use notes_cosine::NotesCosine;
pub use quadratic::Quadratic;
pub use scaled_linear::ScaledLinear;
pub use sigmoid::Sigmoid;

pub(crate) use family::{Family, Parameter};

/// Hands the list of all families to the macro `$then`: what it is in a word, its name, its type. The order is that of messages.
macro_rules! each_family {
    ($then:ident) => {
        $then! {
            /// Beta linear in the step.
            "linear" => Linear,
            /// Beta linear in the square of the step.
            "quadratic" => Quadratic,
            /// Square root of beta linear in the step.
            "scaled-linear" => ScaledLinear,
            /// Nichol & Dhariwal's squared cosine.
            "cosine" => Cosine,
            /// The squared cosine without the division by `1 + s`, kept valid.
            "notes-cosine" => NotesCosine,
            /// Beta on a logistic curve.
            "sigmoid" => Sigmoid,
            /// The same beta everywhere.
            "constant" => Constant,
            /// Beta `1 / (T - t + 1)`.
            "jensen-shannon" => JensenShannon,
            /// Log SNR linear in the step.
            "linear-log-snr" => LinearLogSnr,
            /// A list of betas.
            "explicit" => Explicit,
        }
    };
}
pub(crate) use each_family;
