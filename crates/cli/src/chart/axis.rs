//! Axes: from values to pixels, and the round numbers along the way.

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; values that are not positive are not shown.
    Log,
}

/// Marks along an axis, at least two where there is anything to mark.
const MARKS: f64 = 6.0;

/// One dimension of a panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    scale: Scale,
    /// Ends, on the axis's own scale.
    from: f64,
    to: f64,
    /// The same ends in pixels.
    pixels: [f64; 2],
}

impl Axis {
    /// An axis that just holds all finite `values`; from 0 to 1 if there are none.
    pub(super) fn holding(scale: Scale, values: impl Iterator<Item = f64>, pixels: [f64; 2]) -> Self {
        let shown = values.map(|value| on(scale, value)).filter(|value| value.is_finite());
        let (from, to) =
            shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), value| (from.min(value), to.max(value)));
        let (from, to) = match (from <= to, from == to) {
            (false, _) => (0.0, 1.0),
            // A constant runs through the middle.
            (true, true) => (from - 0.5 * from.abs().max(1e-300), to + 0.5 * to.abs().max(1e-300)),
            (true, false) => (from, to),
        };
        Self { scale, from, to, pixels }
    }

    /// The same axis, a little longer at both ends, so that no curve runs along the frame.
    pub(super) fn with_margin(self) -> Self {
        let margin = 0.03 * (self.to - self.from);
        Self { from: self.from - margin, to: self.to + margin, ..self }
    }

    /// Where a value is; none if it cannot be shown.
    pub(super) fn pixel(&self, value: f64) -> Option<f64> {
        let [start, end] = self.pixels;
        let at = start + (end - start) * (on(self.scale, value) - self.from) / (self.to - self.from);
        at.is_finite().then_some(at)
    }

    /// Round values within the axis, with their labels.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        // Whole powers of ten, if at least two of them are in sight.
        if self.scale == Scale::Log && self.to.floor() > self.from.ceil() {
            let stride = ((self.to - self.from) / MARKS).ceil();
            return multiples(stride, self.from, self.to)
                .map(|(_, exponent)| (10_f64.powf(exponent), power_of_ten(exponent as i32)))
                .collect();
        }
        let (from, to) = match self.scale {
            Scale::Linear => (self.from, self.to),
            Scale::Log => (10_f64.powf(self.from), 10_f64.powf(self.to)),
        };
        let stride = round_stride((to - from) / MARKS);
        let decimals = (-stride.log10().floor()).clamp(0.0, 300.0) as usize;
        multiples(stride, from, to).map(|(_, value)| (value, label(value, decimals))).collect()
    }
}

/// A value on the axis's own scale.
fn on(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Log => value.log10(),
    }
}

/// The smallest of 1, 2, 5, 10, 20, … times a power of ten that is at least `least`.
fn round_stride(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

/// The multiples of `stride` in `from..=to`, with their numbers.
fn multiples(stride: f64, from: f64, to: f64) -> impl Iterator<Item = (i64, f64)> {
    let within = 1e-9 * stride;
    let (first, last) = (((from - within) / stride).ceil() as i64, ((to + within) / stride).floor() as i64);
    (first..=last.min(first + 2 * MARKS as i64)).map(move |number| (number, number as f64 * stride))
}

fn label(value: f64, decimals: usize) -> String {
    if value != 0.0 && (value.abs() >= 1e6 || decimals > 5) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    // No "-0".
    format!("{:.decimals$}", if value == 0.0 { 0.0 } else { value }).replace('-', "−")
}

/// `10⁻⁴`; 1 and 10 as they are.
fn power_of_ten(exponent: i32) -> String {
    match exponent {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        _ => {
            let raised = |c: char| match c {
                '-' => '⁻',
                digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize - '0' as usize],
            };
            format!("10{}", exponent.to_string().chars().map(raised).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        let axis = Axis::holding(scale, values.iter().copied(), [0.0, 100.0]);
        axis.marks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn marks_are_round_numbers_within_the_axis() {
        assert_eq!(labels(Scale::Linear, &[0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Scale::Linear, &[1.0, 1000.0]), ["200", "400", "600", "800", "1000"]);
        assert_eq!(labels(Scale::Linear, &[-9.0, 9.0]), ["−5", "0", "5"]);
        assert_eq!(labels(Scale::Log, &[1e-4, 0.02]), ["10⁻⁴", "10⁻³", "10⁻²"]);
        assert_eq!(labels(Scale::Log, &[1e-13, 100.0]), ["10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "1"]);
        assert_eq!(labels(Scale::Log, &[0.2, 0.45]), ["0.20", "0.25", "0.30", "0.35", "0.40", "0.45"]);
    }

    #[test]
    fn values_are_placed_by_their_scale_and_the_rest_is_left_out() {
        let log = Axis::holding(Scale::Log, [1e-4, 1.0, 0.0, -3.0, f64::NAN].into_iter(), [100.0, 0.0]);
        assert_eq!((log.pixel(1e-4), log.pixel(1e-2), log.pixel(1.0)), (Some(100.0), Some(50.0), Some(0.0)));
        assert_eq!((log.pixel(0.0), log.pixel(-1.0), log.pixel(f64::INFINITY)), (None, None, None));
    }

    #[test]
    fn constants_nothing_and_extremes_have_an_axis() {
        for values in [&[3.0][..], &[], &[0.0], &[-2.0, -2.0], &[f64::INFINITY], &[1e-300, 2e-300], &[1e300, -1e300]] {
            for scale in [Scale::Linear, Scale::Log] {
                let axis = Axis::holding(scale, values.iter().copied(), [0.0, 100.0]).with_margin();
                assert!(axis.marks().len() <= 13, "{values:?}");
                for value in values.iter().filter(|value| on(scale, **value).is_finite()) {
                    assert!((0.0..=100.0).contains(&axis.pixel(*value).unwrap()), "{values:?}");
                }
            }
        }
    }
}
