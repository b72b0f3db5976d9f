//! What every family does, so that a schedule can be described without knowing which one it is.

use crate::error::ScheduleError;

/// A parameter of a family, for reading and writing its text form.
pub(crate) enum Parameter<'a> {
    Count(&'a mut usize),
    Real(&'a mut f64),
    Flag(&'a mut bool),
    /// Numbers one after the other, without a name before them: the only parameter of its family.
    List(&'a mut Vec<f64>),
}

/// A set of parameters with a formula for betas.
pub(crate) trait Family {
    /// Number of steps `T` that the betas will have.
    fn steps(&self) -> usize;

    /// Changes the number of steps, where the family has any other.
    fn set_steps(&mut self, steps: usize) -> Result<(), ScheduleError>;

    /// The variances, not yet validated.
    fn betas(&self) -> Result<Vec<f64>, ScheduleError>;

    /// The parameters with their names; the first is `steps`, where they have names.
    fn parameters(&mut self) -> Vec<(&'static str, Parameter<'_>)>;
}

/// [`Family`] for a struct with a field `steps`, the parameters that are named, each with its kind of [`Parameter`], and a method
/// `betas`.
macro_rules! family {
    ($family:ident $(, $kind:ident $parameter:ident)*) => {
        impl $crate::families::family::Family for $family {
            fn steps(&self) -> usize {
                self.steps
            }

            fn set_steps(&mut self, steps: usize) -> Result<(), $crate::error::ScheduleError> {
                self.steps = steps;
                Ok(())
            }

            fn betas(&self) -> Result<Vec<f64>, $crate::error::ScheduleError> {
                // The struct's own method, which comes before the trait's.
                $family::betas(self)
            }

            fn parameters(&mut self) -> Vec<(&'static str, $crate::families::family::Parameter<'_>)> {
                use $crate::families::family::Parameter;
                vec![
                    ("steps", Parameter::Count(&mut self.steps)),
                    $((stringify!($parameter), Parameter::$kind(&mut self.$parameter)),)*
                ]
            }
        }
    };
}
pub(super) use family;
