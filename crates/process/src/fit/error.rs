//! What can be wrong with measured numbers.

/// Why measured numbers make no fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// Not the steps of a chain.
    #[error(
        "steps must rise within 1 to {total}, and measured ones must have both ends; at place {place} (from 0) is {found}"
    )]
    Steps {
        /// Steps of the schedule.
        total: usize,
        /// The place in the list.
        place: usize,
        /// The step there; 0 if there is none.
        found: usize,
    },
    /// A number that cannot be measured.
    #[error("{what} at step {t} is {value}, which no measurement gives")]
    Value {
        /// Which number.
        what: &'static str,
        /// The step.
        t: usize,
        /// The number.
        value: f64,
    },
    /// The decoder's terms do not belong to the steps.
    #[error("step {t} has {found} of the decoder's terms, {expected} are expected")]
    Decoder {
        /// The step.
        t: usize,
        /// Number of terms.
        found: usize,
        /// Number of terms that is right.
        expected: usize,
    },
    /// Too many pairs of steps.
    #[error("the best steps are looked for in schedules of up to {most} steps; this one has {total}")]
    TooLong {
        /// Steps of the schedule.
        total: usize,
        /// The limit.
        most: usize,
    },
    /// No chain of so many steps.
    #[error("there is no chain of {count} steps; 1 to {total} are possible")]
    Count {
        /// The number that was asked for.
        count: usize,
        /// Steps of the schedule.
        total: usize,
    },
}
