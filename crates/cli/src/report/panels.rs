//! Which curves are drawn together, and under which title.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    metrics::{Curve, Metrics},
    thin::{Thin, thin},
};

/// One chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Panel {
    pub(super) title: String,
    /// What the x axis counts; none where it is the progress of the run, which the reader chooses the measure of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x_label: Option<String>,
    /// Whether the y axis is logarithmic at first.
    pub(super) log: bool,
    /// Where among the panels it stands.
    #[serde(skip)]
    rank: u8,
    pub(super) lines: Vec<Line>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    /// The run, by its number.
    pub(super) run: usize,
    /// What it is, among the lines of the same run; empty where there is one only.
    pub(super) label: String,
    /// Whether it is worth to be smoothed.
    pub(super) noisy: bool,
    /// What `low` and `high` are.
    pub(super) band: &'static str,
    #[serde(flatten)]
    pub(super) points: Thin,
}

impl Panel {
    /// A chart over something else than the progress of a run.
    pub(super) fn over(x_label: &str, title: &str, log: bool, lines: Vec<Line>) -> Self {
        Self { title: title.to_owned(), x_label: Some(x_label.to_owned()), log, rank: 0, lines }
    }
}

impl Line {
    pub(super) fn plain(run: usize, points: Thin) -> Self {
        Self { run, label: String::new(), noisy: false, band: "", points }
    }
}

/// The charts of several runs. A line has `most` points at most.
pub(super) fn panels(runs: &[&Metrics], most: usize) -> Vec<Panel> {
    let mut found: Vec<(String, Panel)> = Vec::new();
    for (run, metrics) in runs.iter().enumerate() {
        let errors: BTreeMap<&str, &Curve> = metrics.curves.iter().map(|curve| (curve.key.as_str(), curve)).collect();
        for curve in metrics.curves.iter().filter(|curve| !is_error(&curve.key)) {
            let Place { id, title, rank, log, label } = match (curve.key.as_str(), &metrics.other_loss) {
                ("loss", Some(what)) => Place::other_loss(what),
                (key, _) => Place::of(key),
            };
            if rank == OTHER && is_constant(curve) {
                continue;
            }
            let error = error_keys(&curve.key).into_iter().find_map(|key| errors.get(key.as_str()));
            let (points, band) = points(curve, error.copied(), most);
            let line = Line { run, label, noisy: NOISY.contains(&curve.key.as_str()), band, points };
            match found.iter_mut().find(|(known, _)| *known == id) {
                Some((_, panel)) => panel.lines.push(line),
                None => found.push((id, Panel { title, x_label: None, log, rank, lines: vec![line] })),
            }
        }
    }
    let mut panels: Vec<Panel> = found.into_iter().map(|(_, panel)| panel).collect();
    panels.sort_by_key(|panel| panel.rank);
    for panel in &mut panels {
        let lines = panel.lines.iter();
        // What only the smallest values make long shows nothing on a straight axis; what is not above 0 has no logarithm.
        panel.log &= lines.clone().all(|line| line.points.y.iter().chain(&line.points.low).all(|y| *y > 0.0));
    }
    panels
}

/// Curves of single steps.
const NOISY: [&str; 3] = ["loss", "grad_norm", "images_per_second"];
/// The rank of figures that are not known here.
const OTHER: u8 = 5;

/// Where a curve is drawn.
struct Place {
    id: String,
    title: String,
    rank: u8,
    log: bool,
    label: String,
}

impl Place {
    /// The loss of training that is not what held-out examples are scored by: it has a chart of its own.
    fn other_loss(what: &str) -> Self {
        let (id, title) = ("minimised".to_owned(), "Training loss, weighted as it is minimised".to_owned());
        Self { id, title, rank: 0, log: true, label: what.to_owned() }
    }

    fn of(key: &str) -> Self {
        let place = |id: &str, title: &str, rank, log, label: &str| Self {
            id: id.to_owned(),
            title: title.to_owned(),
            rank,
            log,
            label: label.to_owned(),
        };
        let parts: Vec<&str> = key.split('/').collect();
        let leaf = parts[parts.len() - 1];
        // A list, or a table by numbers: one chart for all of it.
        if let Some(at) = parts.iter().position(|part| part.parse::<f64>().is_ok()) {
            let mut id = parts.clone();
            id[at] = "*";
            let above: Vec<&str> = parts.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, part)| *part).collect();
            return place(&id.join("/"), &words(&above.join("/")), 2, leaf.contains("loss"), parts[at]);
        }
        match key {
            "loss" => return place("loss", "Loss", 0, true, "training"),
            "images_per_second" => return place(key, "Images a second", 6, false, ""),
            "grad_norm" => return place(key, "Gradient norm", 7, true, ""),
            "learning_rate" => return place(key, "Learning rate", 8, false, ""),
            _ => {}
        }
        let above = words(&parts[..parts.len() - 1].join("/"));
        match leaf {
            "loss" => place("loss", "Loss", 0, true, &above.to_lowercase()),
            "bits_per_dim" => place("bits_per_dim", "Bits per dimension", 1, false, &above.to_lowercase()),
            _ if DISTANCES.iter().any(|word| leaf.contains(word)) => place(key, &words(key), 3, false, ""),
            _ => place(key, &words(key), OTHER, false, ""),
        }
    }
}

/// Words in the names of distances between sets of pictures.
const DISTANCES: [&str; 8] = ["frechet", "fid", "fd", "kid", "precision", "recall", "density", "coverage"];

/// A key in plain words.
pub(super) fn words(key: &str) -> String {
    let name = |word: &str| match word {
        "frechet" => "Fréchet".to_owned(),
        "fid" | "fd" | "kid" | "snr" => word.to_uppercase(),
        word => word.to_owned(),
    };
    let above: Vec<String> =
        key.split('/').map(|part| part.split('_').map(name).collect::<Vec<_>>().join(" ")).collect();
    let text = above.join(": ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Keys under which the standard error of `key` can be.
fn error_keys(key: &str) -> Vec<String> {
    let (above, leaf) = key.rsplit_once('/').map_or(("", key), |(above, leaf)| (above, leaf));
    let mut keys = vec![format!("{key}_standard_error"), format!("{key}_se")];
    if ["bits_per_dim", "mean", "value"].contains(&leaf) && !above.is_empty() {
        keys.push(format!("{above}/standard_error"));
    }
    keys
}

fn is_error(key: &str) -> bool {
    key.ends_with("standard_error") || key.ends_with("_se")
}

fn is_constant(curve: &Curve) -> bool {
    curve.points.len() > 3 && curve.points.windows(2).all(|pair| pair[0][1].total_cmp(&pair[1][1]).is_eq())
}

/// A curve with few points, and what its band is.
fn points(curve: &Curve, error: Option<&Curve>, most: usize) -> (Thin, &'static str) {
    let mut points = thin(&curve.points, most);
    let Some(error) = error.filter(|error| error.points.len() == curve.points.len()) else {
        let band = if points.low.is_empty() { "" } else { "smallest and largest" };
        return (points, band);
    };
    let edge = |sign: f64| {
        let moved = curve.points.iter().zip(&error.points).map(|(point, error)| [point[0], point[1] + sign * error[1]]);
        thin(&moved.collect::<Vec<_>>(), most).y
    };
    (points.low, points.high) = (edge(-1.0), edge(1.0));
    (points, "± standard error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(key: &str, values: &[f64]) -> Curve {
        let points = (1..).zip(values).map(|(step, value)| [f64::from(step), *value]).collect();
        Curve { key: key.to_owned(), points }
    }

    fn run(curves: Vec<Curve>) -> Metrics {
        Metrics { curves, ..Metrics::default() }
    }

    #[test]
    fn losses_share_a_chart_and_lists_are_one() {
        let metrics = run(vec![
            curve("learning_rate", &[1e-3, 1e-3]),
            curve("loss", &[1.0, 0.5]),
            curve("held_out/loss", &[0.9]),
            curve("held_out/losses/0", &[0.9]),
            curve("held_out/losses/1", &[0.1]),
            curve("kid", &[0.1]),
            curve("distances/frechet_distance", &[0.1]),
        ]);
        let panels = panels(&[&metrics], 100);
        let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["Loss", "Held out: losses", "KID", "Distances: Fréchet distance", "Learning rate"]);
        let labels: Vec<&str> = panels[0].lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["training", "held out"]);
        assert!(panels[0].log && panels[0].lines[0].noisy && !panels[4].log);
        assert_eq!(panels[1].lines[1].label, "1");
    }

    #[test]
    fn a_weighted_loss_is_not_drawn_beside_one_that_is_not() {
        let both = || vec![curve("loss", &[1.0, 0.5]), curve("held_out/loss", &[0.9])];
        let weighted = Metrics { other_loss: Some("weight p2".to_owned()), ..run(both()) };
        let panels = panels(&[&weighted, &run(both())], 100);
        let labels = |panel: &Panel| panel.lines.iter().map(|line| line.label.clone()).collect::<Vec<_>>();
        assert_eq!(panels.len(), 2);
        assert_eq!(panels[0].title, "Training loss, weighted as it is minimised");
        assert_eq!(labels(&panels[0]), ["weight p2"]);
        assert_eq!(
            (panels[1].title.as_str(), labels(&panels[1])),
            ("Loss", vec!["held out".to_owned(), "training".into(), "held out".into()])
        );
    }

    #[test]
    fn a_standard_error_is_a_band_and_no_chart() {
        let metrics =
            run(vec![curve("held_out/bits_per_dim", &[3.0, 2.0]), curve("held_out/standard_error", &[0.5, 0.25])]);
        let panels = panels(&[&metrics], 100);
        assert_eq!(panels.len(), 1);
        let line = &panels[0].lines[0];
        assert_eq!((&line.points.low[..], &line.points.high[..]), (&[2.5, 1.75][..], &[3.5, 2.25][..]));
        assert_eq!(line.band, "± standard error");
    }

    #[test]
    fn runs_are_overlaid_and_what_never_changes_is_not_drawn_unless_it_is_known() {
        let one = || run(vec![curve("loss", &[1.0, 0.0]), curve("size", &[4.0; 5]), curve("learning_rate", &[1.0; 5])]);
        let panels = panels(&[&one(), &one()], 100);
        assert_eq!(panels.iter().map(|panel| panel.title.as_str()).collect::<Vec<_>>(), ["Loss", "Learning rate"]);
        assert_eq!(panels[0].lines.iter().map(|line| line.run).collect::<Vec<_>>(), [0, 1]);
        assert!(!panels[0].log, "0 has no logarithm");
    }
}
