//! bf16 numbers as their bits, rounded as `vcvtneps2bf16` does.

/// The nearest bf16, ties to even; denormals become zero, NaN stays NaN.
pub(super) fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    if bits & 0x7f80_0000 == 0 {
        return (bits >> 16) as u16 & 0x8000;
    }
    // The carry may go on into the exponent, up to infinity.
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The value of a bf16.
pub(super) fn value(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_of_the_range() {
        for (x, rounded) in [
            (0.0, 0.0),
            (-0.0, -0.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
            (f32::MIN_POSITIVE / 2.0, 0.0),
            (-f32::MIN_POSITIVE / 2.0, -0.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
        ] {
            assert_eq!(value(round(x)).to_bits(), f32::to_bits(rounded), "{x}");
        }
        assert!(value(round(f32::NAN)).is_nan());
    }

    proptest! {
        #[test]
        fn no_bf16_is_nearer(x in prop::num::f32::NORMAL) {
            let (rounded, near) = (value(round(x)), |up: i32| f64::from(value((round(x) as i32 + up) as u16)));
            let error = |y: f64| (y - f64::from(x)).abs();
            if rounded.is_finite() {
                prop_assert!(error(f64::from(rounded)) <= error(near(1)) && error(f64::from(rounded)) <= error(near(-1)));
            }
        }
    }
}
