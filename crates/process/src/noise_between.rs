//! Noise on the way from one noise to another.

use crate::{NoiseError, NoiseSource};

/// Paths from the noise of one source to that of another, in `frames` samples each: samples `r · frames` to `(r + 1) · frames - 1` lead from
/// sample `r` of the first to sample `r` of the second.
///
/// Each draw is interpolated along the sphere (slerp, Shoemake 1985): the norm of noise, about `√D` in `D` dimensions, stays what it is, where
/// a straight line would pass through shorter vectors, which no sampler has seen. The ends are the sources' own numbers, bit by bit.
#[derive(Clone, Copy)]
pub struct NoiseBetween<'a> {
    /// Where paths begin.
    pub from: &'a dyn NoiseSource,
    /// Where they end.
    pub to: &'a dyn NoiseSource,
    /// Samples of a path, at least 1.
    pub frames: usize,
}

impl NoiseSource for NoiseBetween<'_> {
    fn fill(&self, draw: usize, sample: usize, shape: &[usize], out: &mut [f32]) -> Result<(), NoiseError> {
        let frames = self.frames.max(1);
        let (row, frame) = (sample / frames, sample % frames);
        let mut to = vec![0.0; out.len()];
        self.from.fill(draw, row, shape, out)?;
        self.to.fill(draw, row, shape, &mut to)?;
        let weight = frame as f64 / frames.saturating_sub(1).max(1) as f64;
        slerp(out, &to, weight);
        Ok(())
    }
}

/// Sines below which two vectors count as parallel, where the formula divides by next to nothing.
const PARALLEL: f64 = 1e-6;

/// Moves `from` towards `to`, by `weight` of the angle between them.
fn slerp(from: &mut [f32], to: &[f32], weight: f64) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let norms = (dot(from, from) * dot(to, to)).sqrt();
    let cosine = if norms > 0.0 { (dot(from, to) / norms).clamp(-1.0, 1.0) } else { 1.0 };
    let angle = cosine.acos();
    let (a, b) = match angle.sin() {
        sine if sine.abs() < PARALLEL => (1.0 - weight, weight),
        sine => (((1.0 - weight) * angle).sin() / sine, (weight * angle).sin() / sine),
    };
    for (from, &to) in from.iter_mut().zip(to) {
        *from = (f64::from(*from) * a + f64::from(to) * b) as f32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SeededNoise;

    fn norm(values: &[f32]) -> f64 {
        values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
    }

    proptest! {
        /// The ends are exact, and in between norm and angle go evenly from one end to the other.
        #[test]
        fn paths_are_arcs(seeds in any::<[u64; 2]>(), size in 2..300usize, frames in 2..9usize, row in 0..4usize, draw in 0..3usize) {
            prop_assume!(seeds[0] != seeds[1]);
            let [from, to] = seeds.map(SeededNoise::new);
            let between = NoiseBetween { from: &from, to: &to, frames };
            let get = |source: &dyn NoiseSource, sample| {
                let mut out = vec![0.0; size];
                source.fill(draw, sample, &[size], &mut out).unwrap();
                out
            };
            let (a, b) = (get(&from, row), get(&to, row));
            prop_assert_eq!(&get(&between, row * frames), &a);
            prop_assert_eq!(&get(&between, (row + 1) * frames - 1), &b);
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
            let angle = (dot(&a, &b) / norm(&a) / norm(&b)).clamp(-1.0, 1.0).acos();
            prop_assume!((0.05..3.09).contains(&angle));
            // Along directions of unit length, so that lengths do not matter.
            let unit = |x: &[f32]| { let n = norm(x); x.iter().map(|&v| (f64::from(v) / n) as f32).collect::<Vec<f32>>() };
            let (mut u, v) = (unit(&a), unit(&b));
            slerp(&mut u, &v, 0.25);
            prop_assert!((norm(&u) - 1.0).abs() < 1e-3, "{}", norm(&u));
            let turned = (dot(&u, &unit(&a)) / norm(&u)).clamp(-1.0, 1.0).acos();
            prop_assert!((turned - 0.25 * angle).abs() < 2e-3, "{} of {}", turned, angle);
        }
    }

    #[test]
    fn equal_and_empty_noises_are_no_trouble() {
        let mut same = [1.0, 2.0];
        slerp(&mut same, &[1.0, 2.0], 0.3);
        assert!((same[0] - 1.0).abs() < 1e-6 && (same[1] - 2.0).abs() < 1e-6);
        let mut zero = [0.0; 3];
        slerp(&mut zero, &[0.0; 3], 0.5);
        assert_eq!(zero, [0.0; 3]);
    }
}
