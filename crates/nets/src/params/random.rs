//! Random initialisation, a pure function of seed and tensor name.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{Init, ParamSource};

/// Draws every parameter from its own stream, keyed by the seed and the tensor's name.
///
/// The values of a tensor depend on nothing else: not on the order of construction, nor on the rest of the network.
///
/// ```
/// use sfumato_nets::params::{Init, ParamSource, RandomParams};
/// let a = RandomParams::new(1).values("conv_in.bias", &[4], Init::FanIn(9));
/// assert_eq!(a, RandomParams::new(1).values("conv_in.bias", &[4], Init::FanIn(9)));
/// assert!(a.iter().all(|value| value.abs() <= 1.0 / 3.0));
/// ```
#[derive(Clone, Debug)]
pub struct RandomParams {
    seed: u64,
    zero_last: bool,
}

impl RandomParams {
    /// Torch's default initialisation, with the layers that DDPM starts at zero ([`Init::Last`]) at zero.
    pub fn new(seed: u64) -> Self {
        Self { seed, zero_last: true }
    }

    /// Torch's default everywhere, as diffusers initialises a model.
    pub fn without_zero_init(self) -> Self {
        Self { zero_last: false, ..self }
    }

    /// The generator of one tensor: key = (seed, 0, two hashes of the name).
    fn stream(&self, name: &str) -> ChaCha8Rng {
        // FNV-1a with its standard offset and with another: 128 bits, so that names cannot collide by accident.
        let words = [self.seed, 0, fnv_1a(name, 0xcbf2_9ce4_8422_2325), fnv_1a(name, 0x6c62_272e_07bb_0142)];
        sfumato_random::chacha8(words, 0)
    }
}

impl ParamSource for RandomParams {
    fn values(&mut self, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
        let count = shape.iter().product();
        match init {
            // There is nothing to draw by.
            Init::Kept => Vec::new(),
            Init::Ones => vec![1.0; count],
            Init::Zeros => vec![0.0; count],
            Init::Last(_) if self.zero_last => vec![0.0; count],
            Init::FanIn(fan_in) | Init::Last(fan_in) => {
                let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
                let mut rng = self.stream(name);
                (0..count).map(|_| (uniform(&mut rng) * bound) as f32).collect()
            }
            Init::Normal(deviation) => {
                let mut rng = self.stream(name);
                let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
                (0..count).map(|_| (draw() * deviation) as f32).collect()
            }
        }
    }

    fn is_stored(&self) -> bool {
        false
    }
}

/// Uniform in (-1, 1), symmetric about 0.
fn uniform(rng: &mut impl Rng) -> f64 {
    (f64::from(rng.next_u32()) + 0.5) / f64::from(1u32 << 31) - 1.0
}

fn fnv_1a(text: &str, offset: u64) -> u64 {
    text.bytes().fold(offset, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_values_fill_their_range_evenly() {
        let values = RandomParams::new(3).values("w", &[100, 100], Init::FanIn(4));
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e4;
        let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e4;
        // Uniform in ±1/2: variance 1/12, and four standard errors of mean and variance.
        assert!(mean.abs() < 4.0 * (1.0f64 / 12.0 / 1e4).sqrt(), "{mean}");
        assert!((square - 1.0 / 12.0).abs() < 4.0 * (1.0f64 / 180.0 / 1e4).sqrt(), "{square}");
        assert!(values.iter().all(|v| v.abs() < 0.5));
    }

    #[test]
    fn names_and_seeds_have_streams_of_their_own() {
        let draw = |seed, name| RandomParams::new(seed).values(name, &[8], Init::Normal(1.0));
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn last_layers_start_at_zero_unless_told_otherwise() {
        assert_eq!(RandomParams::new(1).values("w", &[3], Init::Last(4)), [0.0; 3]);
        let torch = RandomParams::new(1).without_zero_init().values("w", &[3], Init::Last(4));
        assert_eq!(torch, RandomParams::new(1).values("w", &[3], Init::FanIn(4)));
    }

    #[test]
    fn the_first_values_never_change() {
        // Seeds are promises: a change here changes every model that is trained from a seed.
        let values = RandomParams::new(0).values("conv_in.weight", &[3], Init::FanIn(1));
        assert_eq!(values, [-0.679_811_54, 0.759_505_2, 0.865_896_8]);
    }
}
