//! Guidance towards a class, at all noise levels or in an interval of them.

use std::{fmt, str::FromStr};

use burn::tensor::{Tensor, backend::Backend};
use sfumato_process::{Denoiser, levels::Sigmas};

/// Guidance towards the class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// 1 is none.
    pub weight: f64,
    /// The class that stands for "any".
    pub null_class: usize,
    /// The noise levels at which there is guidance; none for all.
    pub interval: Option<GuidanceInterval>,
}

/// The noise levels at which there is guidance: `low < σ <= high`.
///
/// Kynkäänniemi et al. (2024), arXiv:2404.07724: guidance at high noise takes variety away, and at low noise it changes little but costs
/// a second evaluation all the same. `σ` is noise over signal, `√((1 - ᾱ) / ᾱ)`, as in the paper and in k-diffusion, at the time that the
/// network is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuidanceInterval {
    /// Levels up to this one are not guided; 0 for none.
    pub low: f64,
    /// The highest level that is guided; infinity for all above `low`. The same as `low` for an interval without levels.
    pub high: f64,
}

impl GuidanceInterval {
    /// Whether a level is guided.
    pub fn contains(self, sigma: f64) -> bool {
        self.low < sigma && sigma <= self.high
    }

    /// Whether the bounds are in order.
    pub fn is_valid(self) -> bool {
        self.low >= 0.0 && self.low.is_finite() && self.low <= self.high
    }
}

/// What an interval should look like.
pub(super) const EXPECTED: &str = "expected two noise levels LO,HI with 0 <= LO <= HI, such as 0.3,3; HI may be inf";

impl FromStr for GuidanceInterval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bound = |text: &str| text.trim().parse::<f64>().ok();
        let bounds = text.split_once(',').and_then(|(low, high)| bound(low).zip(bound(high)));
        let interval = bounds.map(|(low, high)| Self { low, high });
        interval.filter(|interval| interval.is_valid()).ok_or_else(|| EXPECTED.to_owned())
    }
}

/// As [`FromStr`] reads it.
impl fmt::Display for GuidanceInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.low, self.high)
    }
}

/// A network with guidance in an interval of noise levels, and without it elsewhere, where one evaluation is enough.
///
/// All examples of a call are at one level, as samplers ask.
pub(super) struct Within<'a, B: Backend, const D: usize> {
    /// The network with guidance.
    pub guided: &'a dyn Denoiser<B, D>,
    /// The same without: told the class, once.
    pub plain: &'a dyn Denoiser<B, D>,
    /// Where the first is asked.
    pub interval: GuidanceInterval,
    /// The levels of the network's times.
    pub sigmas: &'a Sigmas,
}

impl<B: Backend, const D: usize> Within<'_, B, D> {
    fn at(&self, t: f64) -> &dyn Denoiser<B, D> {
        if self.interval.contains(self.sigmas.at(t)) { self.guided } else { self.plain }
    }
}

impl<B: Backend, const D: usize> Denoiser<B, D> for Within<'_, B, D> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        self.at(t[0] as f64).predict(x_t, t)
    }

    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        self.at(t[0]).predict_between(x_t, t)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use burn::backend::Flex;
    use sfumato_process::{SeededNoise, sampler::walk};
    use sfumato_schedule::ScheduleConfig;

    use super::*;
    use crate::{
        pipeline::Scheduler,
        sampling::{SamplerChoice, SamplerKind},
    };

    #[test]
    fn intervals_are_read_as_they_are_written() {
        for text in ["0.28,2.9", "0,inf", "0,0", "3,3"] {
            assert_eq!(text.parse::<GuidanceInterval>().unwrap().to_string(), text);
        }
        assert_eq!(" 1 , 2.50".parse(), Ok(GuidanceInterval { low: 1.0, high: 2.5 }));
        for text in ["", "1", "1,", ",1", "2,1", "-1,1", "nan,1", "1,nan", "inf,inf", "1,2,3", "a,b"] {
            assert_eq!(text.parse::<GuidanceInterval>(), Err(EXPECTED.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_lower_end_is_outside_and_the_upper_one_inside() {
        let interval = GuidanceInterval { low: 1.0, high: 2.0 };
        assert_eq!([0.5, 1.0, 1.5, 2.0, 2.5].map(|sigma| interval.contains(sigma)), [false, false, true, true, false]);
        let empty = GuidanceInterval { low: 1.0, high: 1.0 };
        assert!(!empty.contains(1.0));
    }

    /// Remembers at which times it was asked.
    #[derive(Default)]
    struct Asked(RefCell<Vec<f64>>);

    impl Denoiser<Flex, 2> for Asked {
        fn predict(&self, x_t: Tensor<Flex, 2>, t: &[usize]) -> Tensor<Flex, 2> {
            self.predict_between(x_t, &[t[0] as f64])
        }

        fn predict_between(&self, x_t: Tensor<Flex, 2>, t: &[f64]) -> Tensor<Flex, 2> {
            self.0.borrow_mut().push(t[0]);
            x_t * 0.1
        }
    }

    /// Each evaluation goes to one of the two, by its own level; the second slope of heun too.
    #[test]
    fn every_sampler_asks_each_network_at_its_own_levels() {
        let schedule = ScheduleConfig::default().build().unwrap();
        let sigmas = Sigmas::of(&schedule);
        let interval = GuidanceInterval { low: 0.3, high: 4.0 };
        for info in SamplerKind::all() {
            let choice = SamplerChoice { steps: Some(12), ..SamplerChoice::new(info.kind) };
            let sampler = choice.resolve(&Scheduler::default()).unwrap();
            let (guided, plain) = (Asked::default(), Asked::default());
            let within = Within { guided: &guided, plain: &plain, interval, sigmas: &sigmas };
            let (noise, device) = (SeededNoise::new(1), Default::default());
            let mut stepper = sampler.stepper::<Flex, 2>();
            walk(&mut stepper, &within, &noise, [2, 1], &device, &mut sfumato_process::sampler::ignore).unwrap();
            let (guided, plain) = (guided.0.into_inner(), plain.0.into_inner());
            let expected = if info.kind == SamplerKind::Heun { 23 } else { 12 };
            assert_eq!(guided.len() + plain.len(), expected, "{}", info.name);
            assert!(!guided.is_empty() && !plain.is_empty(), "{}", info.name);
            let is_inside = |t: &f64| sigmas.at(*t) > 0.3 && sigmas.at(*t) <= 4.0;
            assert!(guided.iter().all(is_inside) && !plain.iter().any(is_inside), "{}", info.name);
        }
    }
}
