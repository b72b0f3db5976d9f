//! Inpainting: RePaint, Lugmayr et al. (2022), arXiv:2201.09865, Algorithm 1.

use std::{cell::Cell, ops::ControlFlow};

use burn::tensor::{Tensor, backend::Backend};

use super::{Observer, SampleError, State, Step, Stepper, walk::scaled};
use crate::{Denoiser, NoiseError, NoiseLevel, NoiseSource, forward::q_sample_between, noise};

/// How often stretches of the walk are gone over again, so that what is drawn comes to fit what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// Steps that a jump goes back, `j` of the paper: at least 1.
    pub jump: usize,
    /// How often each stretch is walked, `r` of the paper: at least 1, which is no jump at all.
    pub times: usize,
}

impl Default for Resampling {
    /// The paper's: ten times ten steps.
    fn default() -> Self {
        Self { jump: 10, times: 10 }
    }
}

/// A move of the walk. States are counted by the steps that have led to them, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Step `k` of the sampler.
    Down(usize),
    /// Noise is added: from the state after so many steps back to that after fewer.
    Up {
        /// Steps before the jump.
        from: usize,
        /// Steps after it.
        to: usize,
    },
}

impl Resampling {
    /// The moves of a walk of `total` steps.
    ///
    /// As the paper's `get_schedule_jump`: where 1, `j + 1`, `2j + 1`, … steps are left, the walk goes back `j` steps, `r - 1` times, if so many
    /// have been done.
    pub fn moves(self, total: usize) -> Vec<Move> {
        let Self { jump, times } = Self { jump: self.jump.max(1), times: self.times.max(1) };
        let mut left_to_jump = vec![times - 1; total + 1];
        let (mut moves, mut done) = (Vec::new(), 0);
        while done < total {
            done += 1;
            moves.push(Move::Down(done));
            let left = total - done;
            if left >= 1 && (left - 1).is_multiple_of(jump) && done >= jump && left_to_jump[left] > 0 {
                left_to_jump[left] -= 1;
                moves.push(Move::Up { from: done, to: done - jump });
                done -= jump;
            }
        }
        moves
    }
}

/// Draws the unknown part of data whose other part is known.
///
/// After each step the known part of the state is replaced by the data itself, with fresh noise of that level (Eq. 8); after the last one, by
/// the data without noise, so that it comes out as it went in. Jumps back ([`Resampling`]) add the forward chain's noise,
/// `x_s = √(ᾱ_s / ᾱ_t) x_t + √(1 - ᾱ_s / ᾱ_t) ε`.
///
/// Any sampler will do; the paper's is [`Ancestral`](super::Ancestral).
///
/// Noise: draw 0 is `x_T`. Then, in the order of use, one for each step that takes noise and one for the known part after each step but the
/// last, and one for each jump.
pub struct Inpainting<'a, B: Backend, const D: usize> {
    /// A new sampler; multistep ones forget what they have seen where the walk jumps back.
    pub sampler: &'a dyn Fn() -> Box<dyn Stepper<B, D> + 'a>,
    /// The level of the state before each step.
    pub levels: &'a [NoiseLevel],
    /// The data, of which only the known part counts: `[batch, …]`.
    pub known: Tensor<B, D>,
    /// 1 where it is known, 0 where it is to be drawn: as `known`.
    pub keep: Tensor<B, D>,
    /// The jumps.
    pub resampling: Resampling,
}

impl<B: Backend, const D: usize> Inpainting<'_, B, D> {
    /// Draws from noise.
    ///
    /// The observer counts moves.
    ///
    /// # Errors
    /// [`SampleError::Noise`] from the noise source, [`SampleError::Stopped`] by the observer.
    ///
    /// # Panics
    /// If there is not one level for each step, or the two tensors differ in shape.
    pub fn draw(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
        observer: &mut Observer<'_, B, D>,
    ) -> Result<Tensor<B, D>, SampleError> {
        let mut sampler = (self.sampler)();
        assert_eq!(sampler.total(), self.levels.len(), "one level for each step");
        let moves = self.resampling.moves(sampler.total());
        let noise = InOrder { noise, next: Cell::new(0), used: Cell::new(false) };
        let mut x = scaled(noise.normal(&self.known)?, sampler.start_scale());
        let mut x_0 = x.clone();
        for (i, &one) in moves.iter().enumerate() {
            let after = match one {
                Move::Down(step) => {
                    let next = sampler.step(step, x, denoiser, &noise)?;
                    noise.advance();
                    Step { x, x_0 } = Step { x: self.put_known(&*sampler, step, next.x, &noise)?, x_0: next.x_0 };
                    step
                }
                Move::Up { from, to } => {
                    x = self.jump(&*sampler, (from, to), x, &noise)?;
                    sampler = (self.sampler)();
                    to
                }
            };
            let view = scaled(x.clone(), sampler.view_scale(after));
            let (done, total) = (i + 1, moves.len());
            if let ControlFlow::Break(()) = observer(State { done, total, x: &view, x_0: &x_0 }) {
                return Err(SampleError::Stopped { done, total });
            }
        }
        Ok(x)
    }

    /// The state with the known part in its place, after `done` steps.
    fn put_known(
        &self,
        sampler: &dyn Stepper<B, D>,
        done: usize,
        x: Tensor<B, D>,
        noise: &InOrder<'_>,
    ) -> Result<Tensor<B, D>, NoiseError> {
        let known = match self.levels.get(done) {
            Some(&level) => {
                let levels = vec![level; x.dims()[0]];
                let noised = q_sample_between(self.known.clone(), &levels, noise.normal(&self.known)?);
                scaled(noised, sampler.view_scale(done).recip())
            }
            // A product with the mask would round.
            None => return Ok(x.mask_where(self.keep.clone().greater_elem(0.5), self.known.clone())),
        };
        Ok(known * self.keep.clone() + x * (self.keep.clone().neg() + 1.0))
    }

    /// The state after `to` steps, made from that after `from` by the forward chain.
    fn jump(
        &self,
        sampler: &dyn Stepper<B, D>,
        (from, to): (usize, usize),
        x: Tensor<B, D>,
        noise: &InOrder<'_>,
    ) -> Result<Tensor<B, D>, NoiseError> {
        let (low, high) = (self.levels[from], self.levels[to]);
        let signal = high.signal() / low.signal();
        // 1 - ᾱ_s / ᾱ_t, without a difference of two numbers near 1.
        let ratio = low.sigma / high.sigma;
        let deviation = high.noise() * ((1.0 - ratio) * (1.0 + ratio)).max(0.0).sqrt();
        let x_t = scaled(x, sampler.view_scale(from)) * signal + noise.normal(&self.known)? * deviation;
        Ok(scaled(x_t, sampler.view_scale(to).recip()))
    }
}

/// Noise in the order of use, whichever draw is asked for.
struct InOrder<'a> {
    noise: &'a dyn NoiseSource,
    next: Cell<usize>,
    used: Cell<bool>,
}

impl InOrder<'_> {
    /// The next draw is for somebody else, if this one was used.
    fn advance(&self) {
        if self.used.replace(false) {
            self.next.set(self.next.get() + 1);
        }
    }

    /// A draw of its own, of the shape of `like`.
    fn normal<B: Backend, const D: usize>(&self, like: &Tensor<B, D>) -> Result<Tensor<B, D>, NoiseError> {
        let drawn = noise::normal(self, 0, like.dims(), &like.device())?;
        self.advance();
        Ok(drawn)
    }
}

impl NoiseSource for InOrder<'_> {
    fn fill(&self, _: usize, sample: usize, shape: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        self.used.set(true);
        self.noise.fill(self.next.get(), sample, shape, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RePaint's published `get_schedule_jump`, in its own words: the number of steps that are left, less one, after each move.
    fn published(total: usize, jump: usize, times: usize) -> Vec<i64> {
        let (t_max, jump) = (total as i64, jump as i64);
        let mut jumps: std::collections::HashMap<i64, usize> =
            (0..(t_max - jump).max(0)).step_by(jump as usize).map(|t| (t, times - 1)).collect();
        let (mut t, mut ts) = (t_max, Vec::new());
        while t >= 1 {
            t -= 1;
            ts.push(t);
            if let Some(left) = jumps.get_mut(&t).filter(|left| **left > 0) {
                *left -= 1;
                for _ in 0..jump {
                    t += 1;
                    ts.push(t);
                }
            }
        }
        ts.push(-1);
        ts
    }

    #[test]
    fn the_moves_are_the_published_ones() {
        for total in [1, 2, 3, 9, 10, 11, 12, 50, 250] {
            for (jump, times) in [(1, 1), (1, 3), (2, 2), (10, 10), (7, 4), (300, 5)] {
                let mut ours = Vec::new();
                for one in (Resampling { jump, times }).moves(total) {
                    match one {
                        Move::Down(done) => ours.push((total - done) as i64 - 1),
                        Move::Up { from, to } => ours.extend((to..from).rev().map(|done| (total - done) as i64 - 1)),
                    }
                }
                // The published list begins with the state that it starts from, and its states are one step later.
                let published = published(total, jump, times);
                assert_eq!(ours, published[1..], "{total} {jump} {times}");
            }
        }
    }
}
