//! The curves of a regret, from the JSON that `eval` writes: for its own picture and for the page of a run.

use serde_json::Value;

use crate::chart::{Figure, Panel, Scale, Series};

/// What the x axis counts. Noise grows to the right, as it does with `t`, and schedules have the same axis.
pub(crate) const X_LABEL: &str = "noise, ln((1 − ᾱ)/ᾱ): −log SNR in nats";
/// What the losses are.
pub(crate) const LOSSES: &str = "mean squared error of the noise";
/// Part of the smallest of the model's losses, and multiple of the largest, beyond which nothing is drawn: where noise is little, the
/// optimum falls to nothing, and what learning by heart costs grows without end.
const BEYOND: f64 = 10.0;

/// A curve with its standard errors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// `(−log SNR, loss, standard error)`.
    pub(crate) points: Vec<[f64; 3]>,
}

/// The curves of the losses, and of the gap; without held-out examples the latter is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Curves {
    pub(crate) losses: Vec<Curve>,
    /// The gap as a part of the training loss.
    pub(crate) gap: Vec<[f64; 3]>,
}

/// Reads the object under `regret`; what is not there gives no curve.
pub(crate) fn curves(regret: &Value) -> Curves {
    let of = |name, path: &[&str]| Curve { name, points: points(regret, path) };
    let mut losses = vec![
        of("the model on training examples", &["train"]),
        of("the model on held-out examples", &["held_out", "loss"]),
        of("optimum of the training set, on training examples", &["optimum"]),
        of("the same optimum on held-out examples: the cost of learning by heart", &["held_out", "memoriser"]),
    ];
    let of = |curve: &Curve| curve.points.iter().map(|point| point[1]).filter(|loss| *loss > 0.0).collect::<Vec<_>>();
    // Of the optimum at least the largest loss is drawn, and of what learning by heart costs the smallest.
    let shown = [&losses[0], &losses[1]].into_iter().flat_map(of);
    let shown = shown.chain(of(&losses[2]).into_iter().reduce(f64::max));
    let shown = shown.chain(of(&losses[3]).into_iter().reduce(f64::min));
    let (least, most) = shown.fold((f64::INFINITY, 0.0_f64), |(least, most), loss| (least.min(loss), most.max(loss)));
    losses.iter_mut().for_each(|curve| cut(&mut curve.points, least / BEYOND, most * BEYOND));
    losses.retain(|curve| !curve.points.is_empty());
    let train = points(regret, &["train"]);
    let gap = points(regret, &["held_out", "gap"]);
    let relative = gap.iter().zip(&train).map(|(gap, train)| [gap[0], gap[1] / train[1], gap[2] / train[1]]);
    Curves { losses, gap: relative.filter(|point| point.iter().all(|x| x.is_finite())).collect() }
}

fn points(regret: &Value, path: &[&str]) -> Vec<[f64; 3]> {
    let point = |level: &Value| {
        let figure = path.iter().try_fold(level, |value, key| value.get(key))?;
        let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64);
        Some([-number(level, "log_snr")?, number(figure, "value")?, number(figure, "standard_error")?])
    };
    regret.get("levels").and_then(Value::as_array).into_iter().flatten().filter_map(point).collect()
}

/// Leaves out the points of a curve beyond what is drawn; those beside the rest lie on the edge, so that the curve is seen to leave.
fn cut(points: &mut Vec<[f64; 3]>, least: f64, most: f64) {
    let inside: Vec<bool> = points.iter().map(|point| (least..=most).contains(&point[1])).collect();
    let beside = |i: usize| inside[i] || (i > 0 && inside[i - 1]) || inside.get(i + 1).is_some_and(|inside| *inside);
    let kept = points.iter().enumerate().filter(|(i, _)| beside(*i));
    *points = kept
        .map(|(i, [x, y, error])| if inside[i] { [*x, *y, *error] } else { [*x, y.clamp(least, most), 0.0] })
        .collect();
}

/// The picture: losses, and where there are held-out examples the gap.
pub(crate) fn figure(curves: &Curves, title: &str) -> Figure {
    let names = curves.losses.iter().map(|curve| curve.name.to_owned());
    let with_gap = !curves.gap.is_empty();
    let gap = "gap: held-out loss above training loss, as a part of it";
    let names: Vec<String> = names.chain(with_gap.then(|| gap.to_owned())).collect();
    let series = |points: &[[f64; 3]]| Series {
        points: points.iter().map(|[x, y, _]| [*x, *y]).collect(),
        errors: points.iter().map(|point| point[2]).collect(),
    };
    let nothing = || Series::line(Vec::new());
    let mut losses: Vec<Series> = curves.losses.iter().map(|curve| series(&curve.points)).collect();
    let mut of_gap: Vec<Series> = losses.iter().map(|_| nothing()).collect();
    of_gap.push(series(&curves.gap));
    if with_gap {
        losses.push(nothing());
    }
    let panel =
        |title: &str, y_scale, series| Panel { title: title.to_owned(), x_label: X_LABEL.to_owned(), y_scale, series };
    let mut panels = vec![panel(LOSSES, Scale::Log, losses)];
    panels.extend(with_gap.then(|| panel("gap / training loss", Scale::Linear, of_gap)));
    Figure { title: title.to_owned(), names, panels }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn curves_are_those_of_the_file_and_leave_where_nothing_is_drawn() {
        let figure = |value: f64| json!({ "value": value, "standard_error": 0.01 });
        let level = |log_snr: f64, optimum: f64, memoriser: f64| {
            json!({ "log_snr": log_snr, "optimum": figure(optimum), "train": figure(0.1), "regret": figure(0.1),
                "held_out": { "loss": figure(0.2), "memoriser": figure(memoriser), "gap": figure(0.1) } })
        };
        let file = json!({ "levels": [level(4.0, 0.0, 1e5), level(2.0, 0.0, 300.0), level(0.0, 0.09, 1.0), level(-2.0, 0.1, 0.1)] });
        let curves = super::curves(&file);
        assert_eq!(curves.losses.len(), 4);
        assert_eq!(curves.losses[0].points[0], [-4.0, 0.1, 0.01]);
        // From the edge into the picture.
        assert_eq!(curves.losses[2].points, [[-2.0, 0.01, 0.0], [0.0, 0.09, 0.01], [2.0, 0.1, 0.01]]);
        assert_eq!(curves.losses[3].points[0], [-2.0, 2.0, 0.0]);
        let [x, gap, error] = curves.gap[0];
        assert!((x, gap) == (-4.0, 1.0) && (error - 0.1).abs() < 1e-12, "{:?}", curves.gap[0]);
        let picture = super::figure(&curves, "t");
        assert!(picture.panels.iter().all(|panel| panel.series.len() == picture.names.len()));
        assert_eq!(super::curves(&json!({ "levels": 3 })), Curves::default());
    }
}
