//! The page as one text.

use serde::Serialize;

use super::{
    escape::escape,
    metrics::{Metrics, Progress},
    panels::{Line, Panel, panels},
    pictures::Picture,
    run::RunFacts,
    scores::Score,
    sections,
    thin::{Thin, spread, thin},
};
use crate::regret_curves::{Curve, LOSSES, X_LABEL};

/// uPlot 1.6.32, see `page/README.md`.
const UPLOT: &str = include_str!("page/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("page/uPlot.min.css");
const PROGRAM: &str = include_str!("page/report.js");
const STYLE: &str = include_str!("page/report.css");
/// How a page of ours is told from one of somebody else.
pub(super) const GENERATOR: &str = "<meta name=\"generator\" content=\"sfumato report\">";
/// Lines by which steps become examples and minutes.
const MOST_PROGRESS: usize = 300;
/// Points of a noise schedule.
const MOST_STEPS: usize = 300;

/// What the page's program draws.
#[derive(Serialize)]
struct Data<'a> {
    runs: Vec<RunData<'a>>,
    curves: Vec<Panel>,
    bound: Vec<Panel>,
    schedule: Vec<Panel>,
}

#[derive(Serialize)]
struct RunData<'a> {
    name: &'a str,
    steps: Vec<f64>,
    /// Null where a line does not say it.
    examples: Vec<f64>,
    minutes: Vec<f64>,
    pictures: &'a [Picture],
}

/// The page of `runs`, whose lines have `most` points at most.
pub(super) fn page(runs: &[RunFacts], most: usize) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let title = escape(&names.join(", "));
    let data = data(runs, most);
    let has = |panels: &[Panel]| !panels.is_empty();
    let body = sections::body(runs, [has(&data.curves), has(&data.bound), has(&data.schedule)], most);
    // Nothing is fetched, whatever stands in the texts.
    let policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{GENERATOR}\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} – Sfumato</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{UPLOT_STYLE}\n{STYLE}</style>\n</head>\n<body>\n{body}\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>{UPLOT}</script>\n<script>\n{PROGRAM}</script>\n\
         </body>\n</html>\n",
        script_json(&data)
    )
}

fn data(runs: &[RunFacts], most: usize) -> Data<'_> {
    let metrics: Vec<&Metrics> = runs.iter().map(|run| &run.metrics).collect();
    Data {
        runs: runs.iter().map(run_data).collect(),
        curves: panels(&metrics, most),
        bound: [bound(runs), regret(runs)].concat(),
        schedule: schedule(runs),
    }
}

fn run_data(run: &RunFacts) -> RunData<'_> {
    let all = &run.metrics.progress;
    let some: Vec<Progress> = spread(all.len(), MOST_PROGRESS).into_iter().map(|i| all[i]).collect();
    RunData {
        name: &run.name,
        steps: some.iter().map(|at| at.step).collect(),
        examples: some.iter().map(|at| at.examples).collect(),
        minutes: some.iter().map(|at| at.seconds / 60.0).collect(),
        pictures: &run.pictures.shown,
    }
}

/// The terms of the bound, from the scores beside the runs.
fn bound(runs: &[RunFacts]) -> Vec<Panel> {
    let of = |(i, run): (usize, &RunFacts)| {
        let with = run.scores.iter().filter(|score| !score.terms.x.is_empty());
        with.map(|score| Line { label: score.file.clone(), ..Line::plain(i, score.terms.clone()) }).collect::<Vec<_>>()
    };
    let lines: Vec<Line> = runs.iter().enumerate().flat_map(of).collect();
    let all = lines.iter().flat_map(|line| &line.points.y).all(|bits| *bits > 0.0);
    let panel = || Panel::over("step t of the chain", "Terms of the bound, bits/dim", all, lines.clone());
    if lines.is_empty() { Vec::new() } else { vec![panel()] }
}

/// The losses by noise level, from the scores beside the runs: a chart for each file, whose curves belong together.
fn regret(runs: &[RunFacts]) -> Vec<Panel> {
    let thin = |points: &[[f64; 3]]| Thin {
        x: points.iter().map(|point| point[0]).collect(),
        y: points.iter().map(|point| point[1] as f32).collect(),
        // An error that reaches 0 has no place on a logarithmic axis: the band ends a decade below.
        low: points.iter().map(|[_, y, error]| (y - error).max(0.1 * y) as f32).collect(),
        high: points.iter().map(|[_, y, error]| (y + error) as f32).collect(),
    };
    let line = |run: usize, curve: &Curve| Line {
        label: curve.name.to_owned(),
        band: "± standard error",
        ..Line::plain(run, thin(&curve.points))
    };
    let panel = |run: usize, score: &Score| {
        let lines: Vec<Line> = score.regret.losses.iter().map(|curve| line(run, curve)).collect();
        let positive = lines.iter().flat_map(|line| line.points.y.iter().chain(&line.points.low)).all(|y| *y > 0.0);
        let title = format!("Loss by noise level, {}: {LOSSES}", score.file);
        (!lines.is_empty()).then(|| Panel::over(X_LABEL, &title, positive, lines))
    };
    runs.iter().enumerate().flat_map(|(i, run)| run.scores.iter().filter_map(move |score| panel(i, score))).collect()
}

fn schedule(runs: &[RunFacts]) -> Vec<Panel> {
    type Quantity = fn(&sfumato_schedule::NoiseSchedule, usize) -> f64;
    let quantities: [(&str, bool, Quantity); 2] = [
        ("ᾱ, the share of the signal's power", false, |schedule, t| schedule.alpha_bar(t)),
        ("ln SNR, nats", false, |schedule, t| schedule.log_snr(t)),
    ];
    let line = |(i, run): (usize, &RunFacts), quantity: Quantity| {
        let schedule = run.schedule.as_ref()?;
        let points = (1..=schedule.steps()).map(|t| [t as f64, quantity(schedule, t)]);
        let points: Vec<[f64; 2]> = points.filter(|point| point[1].is_finite()).collect();
        // A smooth curve needs no means.
        let some: Vec<[f64; 2]> = spread(points.len(), MOST_STEPS).into_iter().map(|i| points[i]).collect();
        Some(Line::plain(i, thin(&some, MOST_STEPS)))
    };
    let panel = |(title, log, quantity): (&str, bool, Quantity)| {
        let lines: Vec<Line> = runs.iter().enumerate().filter_map(|run| line(run, quantity)).collect();
        (!lines.is_empty()).then(|| Panel::over("step t of the chain", title, log, lines))
    };
    quantities.into_iter().filter_map(panel).collect()
}

/// JSON that can stand in a script: no text in it ends the element.
fn script_json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned()).replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element_that_it_stands_in() {
        assert_eq!(escape("<script>'\"&\u{1}"), "&lt;script&gt;&#39;&quot;&amp;\u{fffd}");
        assert_eq!(script_json(&"</script><!--"), "\"\\u003c/script>\\u003c!--\"");
    }

    #[test]
    fn uplot_is_what_its_authors_have_published() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/page");
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        for name in ["uPlot.iife.min.js", "uPlot.min.css"] {
            let line = format!("{}  {name}", sfumato_files::file_sha256(&folder.join(name)).unwrap());
            assert!(readme.contains(&line), "{line}");
        }
    }

    #[test]
    fn the_page_has_no_address_outside_of_itself() {
        for text in [STYLE, PROGRAM, UPLOT_STYLE, UPLOT] {
            assert!(!text.contains("http://") && !text.contains("@import") && !text.contains("</script"));
            let addresses: Vec<&str> =
                text.match_indices("https://").map(|(at, _)| &text[at..text.len().min(at + 35)]).collect();
            assert!(
                addresses.iter().all(|found| found.starts_with("https://github.com/leeoniya/uPlot")),
                "{addresses:?}"
            );
        }
    }
}
