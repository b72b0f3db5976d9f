//! Which steps `t` a training batch visits, and what a loss counts there so that its expectation is that of uniform steps.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Density`] | how often each step is visited, as a value that a file can hold |
//! | [`TimeSampler`] | draws the steps of batches by it |
//! | [`ImportanceTimes`] | the losses that importance sampling remembers |

mod density;
mod error;
mod importance;
mod levels;
mod sampler;
mod stored;
mod table;

pub use density::{Density, LevelOptions};
pub use error::TimesError;
pub use importance::{HISTORY, ImportanceTimes};
pub use sampler::TimeSampler;

/// A step that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeDraw {
    /// The step, `1..=T`.
    pub t: usize,
    /// `1 / (T p_t)`: times this, a loss at steps drawn with `p` has the expectation that it has at uniform steps.
    pub weight: f64,
}

impl TimeDraw {
    /// That of uniform steps `1..=steps`, for `u` in [0, 1).
    fn uniform(steps: usize, u: f64) -> Self {
        Self { t: ((u * steps as f64) as usize).min(steps - 1) + 1, weight: 1.0 }
    }
}
