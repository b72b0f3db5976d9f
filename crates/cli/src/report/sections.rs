//! The parts of the page that are text.

use std::fmt::Write;

use super::{
    differences::{Entries, differences},
    escape::escape,
    metrics::{Curve, Metrics},
    run::RunFacts,
};

/// Longest configuration that is shown.
const LONGEST_CONFIG: usize = 100_000;

/// Everything that is seen, without what the program draws; `drawn` says which charts there are: curves, bound, schedule. A curve has
/// `most` points at most.
pub(super) fn body(runs: &[RunFacts], drawn: [bool; 3], most: usize) -> String {
    let [curves, bound, schedule] = drawn;
    let mut out = header(runs);
    out.push_str("<main>\n");
    out.push_str(&summary(runs));
    out.push_str(&notes(runs));
    if runs.len() > 1 {
        out.push_str(&section("differences", "What differs", &differing(runs)));
    }
    out.push_str(&section("curves", "Curves", &if curves { controls(runs, most) } else { NO_CURVES.to_owned() }));
    if runs.iter().any(|run| !run.pictures.shown.is_empty()) {
        out.push_str(&section("pictures", "Pictures over time", &pictures(runs)));
    }
    if runs.iter().any(|run| !run.scores.is_empty()) {
        let charts = if bound { "<div class=\"charts\" id=\"bound-charts\"></div>" } else { "" };
        out.push_str(&section("scores", "Scores", &format!("{}{charts}", scores(runs))));
    }
    out.push_str(&section("sampling", "How to sample", &sampling(runs)));
    if schedule {
        out.push_str(&section("schedule", "Noise schedule", "<div class=\"charts\" id=\"schedule-charts\"></div>"));
    }
    out.push_str(&section("configuration", "Configuration", &configuration(runs)));
    out.push_str(&section("machine", "Data and machine", &machine(runs)));
    out.push_str("</main>\n");
    out
}

const NO_CURVES: &str = "<p>Nothing has been measured yet.</p>";

/// What the curves are shown with.
fn controls(runs: &[RunFacts], most: usize) -> String {
    let thinned = runs.iter().any(|run| run.metrics.progress.len() > most);
    let thinned = if thinned {
        format!(
            "<p class=\"hint\">Curves of more than {most} lines are thinned: a line shows means of neighbours, the band around it the \
             smallest and the largest values. Everything is in metrics.jsonl.</p>\n"
        )
    } else {
        String::new()
    };
    format!(
        "<div class=\"controls\" id=\"controls\"></div>\n<p class=\"hint\">Drag over a chart to zoom in, double-click to see everything \
         again. With the keyboard: Tab to a chart, arrow keys move the readout, + and − zoom, 0 shows everything.</p>\n{thinned}\
         <div class=\"charts\" id=\"curve-charts\"></div>"
    )
}

fn section(id: &str, title: &str, content: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{content}\n</section>\n"
    )
}

fn header(runs: &[RunFacts]) -> String {
    let title = match runs {
        [run] => escape(&run.name),
        runs => format!("{} runs compared", runs.len()),
    };
    format!(
        "<header>\n<h1>{title}</h1>\n<p id=\"written\" class=\"muted\"></p>\n<div class=\"controls\" id=\"page-controls\"></div>\n\
         <noscript><p>The curves and pictures need JavaScript. It is in this page; nothing is loaded from elsewhere.</p></noscript>\n\
         </header>\n"
    )
}

/// A table that scrolls by itself where it is too wide; cells are escaped.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let mut out = "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>".to_owned();
    for cell in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(cell));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let _ = if i == 0 { write!(out, "<th scope=\"row\">{cell}</th>") } else { write!(out, "<td>{cell}</td>") };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// How far each run is, and its newest figures.
fn summary(runs: &[RunFacts]) -> String {
    let figures: Vec<Vec<(String, String)>> = runs.iter().map(figures).collect();
    if let [figures] = &figures[..] {
        let card = |(name, value): &(String, String)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value))
        };
        return format!("<dl class=\"cards\">\n{}</dl>\n", figures.iter().map(card).collect::<String>());
    }
    let mut names: Vec<String> = Vec::new();
    for (name, _) in figures.iter().flatten() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let value = |figures: &[(String, String)], name: &String| {
        figures.iter().find(|(known, _)| known == name).map_or_else(|| "–".to_owned(), |(_, value)| value.clone())
    };
    let row = |(run, figures): (&RunFacts, &Vec<(String, String)>)| {
        let values = names.iter().map(|name| value(figures, name));
        std::iter::once(run.name.clone()).chain(values).collect()
    };
    let rows: Vec<Vec<String>> = runs.iter().zip(&figures).map(row).collect();
    table(&[&["run".to_owned()], &names[..]].concat(), &rows)
}

fn figures(run: &RunFacts) -> Vec<(String, String)> {
    let mut figures = Vec::new();
    let mut add = |name: &str, value: Option<String>| figures.extend(value.map(|value| (name.to_owned(), value)));
    let Metrics { progress, curves, .. } = &run.metrics;
    let last = progress.last();
    let steps = run.last_step.map_or_else(String::new, |steps| format!(" of {}", grouped(steps as f64)));
    add("step", last.map(|at| format!("{}{steps}", grouped(at.step))));
    let known = |value: f64| value.is_finite().then_some(value);
    let examples = last.and_then(|at| known(at.examples));
    let seconds = last.and_then(|at| known(at.seconds));
    add("examples seen", examples.map(grouped));
    add("minutes of training", seconds.map(|seconds| format!("{:.1}", seconds / 60.0)));
    add("examples a second", examples.zip(seconds).filter(|(_, s)| *s > 0.0).map(|(n, s)| short(n / s)));
    let find = |key: &str| curves.iter().find(|curve| curve.key == key);
    let minimised = match &run.metrics.other_loss {
        Some(what) => format!("training loss ({what}), last tenth"),
        None => "training loss, last tenth".to_owned(),
    };
    add(&minimised, find("loss").map(|curve| short(late_mean(curve))));
    let newest = |curve: &Curve| curve.points.last().map_or(f64::NAN, |point| point[1]);
    add("held-out loss", find("held_out/loss").map(|curve| short(newest(curve))));
    let error = find("held_out/standard_error").or_else(|| find("held_out/bits_per_dim_standard_error"));
    let error = error.map_or_else(String::new, |curve| format!(" ± {}", short(newest(curve))));
    add("held-out bits/dim", find("held_out/bits_per_dim").map(|curve| format!("{}{error}", short(newest(curve)))));
    let score = run.scores.iter().find_map(|score| score.values.iter().find(|(name, _)| name == "bits/dim"));
    add("bits/dim (eval)", score.map(|(_, value)| value.clone()));
    figures
}

/// Mean over the last tenth of the lines: a single one says little.
fn late_mean(curve: &Curve) -> f64 {
    let late = &curve.points[curve.points.len() - curve.points.len().div_ceil(10)..];
    late.iter().map(|point| point[1]).sum::<f64>() / late.len() as f64
}

/// Four digits.
fn short(value: f64) -> String {
    let digits = (3 - value.abs().max(1e-9).log10().floor() as i64).clamp(0, 8) as usize;
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:.2e}") } else { format!("{value:.digits$}") }
}

/// A whole number in groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn notes(runs: &[RunFacts]) -> String {
    let many = runs.len() > 1;
    let note = |run: &RunFacts, note: &String| {
        let of = if many { format!("{}: ", run.name) } else { String::new() };
        format!("<li>{}</li>\n", escape(&format!("{of}{note}")))
    };
    let all: String = runs.iter().flat_map(|run| run.notes.iter().map(move |text| note(run, text))).collect();
    if all.is_empty() { all } else { format!("<ul class=\"notes\">\n{all}</ul>\n") }
}

fn names(runs: &[RunFacts]) -> Vec<String> {
    runs.iter().map(|run| run.name.clone()).collect()
}

/// The keys of the configurations that are not the same, then those of data and machine.
fn differing(runs: &[RunFacts]) -> String {
    let mut out = String::new();
    type Part = fn(&RunFacts) -> &Entries;
    let parts: [(&str, Part); 3] =
        [("Configuration", |run| &run.config), ("Data", |run| &run.data), ("Machine", |run| &run.environment)];
    for (title, part) in parts {
        let tables: Vec<Entries> = runs.iter().map(|run| part(run).clone()).collect();
        let rows: Vec<Vec<String>> = differences(&tables)
            .into_iter()
            .map(|found| {
                let values = found.values.into_iter().map(|value| value.unwrap_or_else(|| "–".to_owned()));
                std::iter::once(found.key).chain(values).collect()
            })
            .collect();
        if rows.is_empty() {
            let _ = writeln!(out, "<p>{title}: the same in all of them.</p>");
        } else {
            out.push_str(&table(&[&[title.to_owned()], &names(runs)[..]].concat(), &rows));
        }
    }
    out
}

/// What is said of the pictures; the program adds them.
fn pictures(runs: &[RunFacts]) -> String {
    let mut said = Vec::new();
    for run in runs {
        let (shown, all) = (run.pictures.shown.len(), run.pictures.all - run.pictures.unreadable);
        let of = if runs.len() > 1 { format!("{}: ", run.name) } else { String::new() };
        if shown < all {
            said.push(format!("{of}{shown} of {all} pictures are in this page, evenly spread; all are in samples/."));
        }
        if run.pictures.shown.iter().any(|picture| picture.smaller) {
            said.push(format!("{of}large pictures are shown smaller than they are."));
        }
    }
    let said = said.iter().map(|text| format!("<p class=\"hint\">{}</p>\n", escape(text))).collect::<String>();
    format!(
        "<p class=\"hint\">The noise is the same at every step, so that each place of the grid can be followed.</p>\n{said}\
         <div class=\"controls\" id=\"picture-controls\"></div>\n<div id=\"picture-grids\"></div>"
    )
}

fn scores(runs: &[RunFacts]) -> String {
    let mut rows = Vec::new();
    for run in runs {
        for score in &run.scores {
            let row = |(name, value): &(String, String)| {
                vec![name.clone(), value.clone(), score.subject.clone(), format!("{}/{}", run.name, score.file)]
            };
            rows.extend(score.values.iter().map(row));
        }
    }
    let head = ["figure", "value ± standard error", "data", "file"].map(str::to_owned);
    table(&head, &rows)
}

fn sampling(runs: &[RunFacts]) -> String {
    let folded =
        |run: &RunFacts| format!("<details><summary>{}</summary>\n{}</details>\n", escape(&run.name), sampling_of(run));
    match runs {
        [run] => sampling_of(run),
        runs => runs.iter().map(folded).collect(),
    }
}

fn sampling_of(run: &RunFacts) -> String {
    let Some((dir, spec)) = &run.model else { return "<p>There is no checkpoint yet.</p>\n".to_owned() };
    let dir = dir.display().to_string();
    let code = |text: &str| format!("<pre tabindex=\"0\"><code>{}</code></pre>\n", escape(text));
    let diffusers = match spec.sample_in_diffusers(&dir) {
        Some(python) => format!("<p>In diffusers:</p>\n{}", code(&python)),
        None => format!("<p>A {} is no class of diffusers.</p>\n", escape(spec.config.class_name())),
    };
    let score = format!("sfumato eval --model {dir} --dataset DATA --json {}/eval.json", run.root.display());
    format!(
        "{}{diffusers}<p>Score it, so that the scores stand in this page:</p>\n{}",
        code(&spec.sample_here(&dir)),
        code(&score)
    )
}

fn configuration(runs: &[RunFacts]) -> String {
    let one = |run: &RunFacts| {
        let text: String = run.config_text.chars().take(LONGEST_CONFIG).collect();
        let name = escape(&run.root.join("config.toml").display().to_string());
        format!(
            "<details><summary>{name}</summary>\n<pre tabindex=\"0\"><code>{}</code></pre></details>\n",
            escape(&text)
        )
    };
    runs.iter().map(one).collect()
}

/// A table with a column for each run.
fn machine(runs: &[RunFacts]) -> String {
    let tables: Vec<Entries> = runs.iter().map(known).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (key, _) in tables.iter().flatten() {
        if !rows.iter().any(|row| row[0] == *key) {
            let find = |table: &Entries| table.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
            let values = tables.iter().map(|table| find(table).unwrap_or_else(|| "–".to_owned()));
            rows.push(std::iter::once(key.clone()).chain(values).collect());
        }
    }
    let head = if runs.len() > 1 { names(runs) } else { vec![String::new()] };
    table(&[&[String::new()], &head[..]].concat(), &rows)
}

/// What is known of a run's model, data and machine.
fn known(run: &RunFacts) -> Entries {
    let mut entries = Entries::new();
    if let Some((_, spec)) = &run.model {
        let network = format!("{}, {} parameters", spec.config.class_name(), grouped(spec.config.num_params() as f64));
        entries.push(("network".to_owned(), network));
        entries.push(("noise schedule".to_owned(), spec.scheduler.describe_schedule()));
    }
    entries.extend(run.data.iter().chain(&run.environment).cloned());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.025_31, "0.02531"), (3.526_11, "3.526"), (412.34, "412.3"), (12345.6, "12346"), (1e-5, "1.00e-5")];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
        assert_eq!(grouped(1_234_567.0), "1\u{202f}234\u{202f}567");
    }
}
