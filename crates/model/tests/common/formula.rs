//! Numbers from a formula, the same here and in `golden/formula.py`, which states it: weights and inputs that need no file.

use sfumato_nets::params::{Init, ParamSource};

/// `count` numbers in [-1, 1), exact in `f32`.
pub(crate) fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let start = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (0..count as u64).map(move |i| {
        let z = start.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// A source of parameters that knows every name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formula;

impl Formula {
    /// The parameter `name`.
    pub(crate) fn weight(self, name: &str, shape: &[usize]) -> Vec<f32> {
        let u = uniform(name, shape.iter().product());
        if shape.len() > 1 {
            let bound = 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt();
            u.map(|u| (u * bound) as f32).collect()
        } else if name == "time_proj.weight" {
            u.map(|u| (16.0 * u) as f32).collect()
        } else if name.ends_with("weight") {
            u.map(|u| (1.0 + 0.3 * u) as f32).collect()
        } else {
            u.map(|u| (0.1 * u) as f32).collect()
        }
    }
}

impl ParamSource for Formula {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.weight(name, shape)
    }
}
