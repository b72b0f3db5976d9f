//! The ratios as a picture.

use std::fmt::Write;

use super::report::Row;

const COLOURS: [&str; 4] = ["#4c72b0", "#dd8452", "#55a868", "#8172b3"];
const LEFT: f64 = 190.0;
const WIDTH: f64 = 520.0;
const BAR: f64 = 14.0;

/// Where the bars begin, below the title and the legend.
const TOP: f64 = 58.0;

/// Horizontal bars on a logarithmic axis, grouped by work: how many times better than each variant of the peer.
pub(super) fn svg(rows: &[Row], caption: &str) -> String {
    let axis = Axis {
        best: rows.iter().map(|row| row.ratio).fold(10.0, f64::max),
        worst: rows.iter().map(|row| row.ratio).fold(1.0, f64::min),
    };
    let mut peers: Vec<&str> = Vec::new();
    for row in rows {
        if !peers.contains(&row.peer) {
            peers.push(row.peer);
        }
    }
    let (bars, bottom) = bars(rows, &peers, &axis);
    let (width, height) = (LEFT + WIDTH + 60.0, bottom + 44.0);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0}" viewBox="0 0 {width} {height:.0}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="20" font-size="14">Times better than PyTorch (time or memory; 1 = equal, logarithmic)</text>
{}{}{bars}<text x="{LEFT}" y="{:.1}" font-size="10" fill="#666">{caption}</text>
</svg>
"##,
        legend(&peers),
        axis.marks(bottom),
        bottom + 34.0
    )
}

/// The horizontal axis, logarithmic.
struct Axis {
    worst: f64,
    best: f64,
}

impl Axis {
    fn x(&self, ratio: f64) -> f64 {
        LEFT + WIDTH * (ratio / self.worst).ln() / (self.best / self.worst).ln()
    }

    /// Lines from the top to `bottom`, with their numbers below.
    fn marks(&self, bottom: f64) -> String {
        let mut svg = String::new();
        for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0] {
            if (self.worst..=self.best).contains(&tick) {
                let (at, colour) = (self.x(tick), if tick == 1.0 { "#444" } else { "#ddd" });
                let _ =
                    writeln!(svg, r#"<line x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom:.1}" stroke="{colour}"/>"#);
                let _ = writeln!(
                    svg,
                    r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle" font-size="10">{tick}</text>"#,
                    bottom + 14.0
                );
            }
        }
        svg
    }
}

/// A bar for each row, in the colour of its peer, and where they end.
fn bars(rows: &[Row], peers: &[&str], axis: &Axis) -> (String, f64) {
    let (mut svg, mut y, mut last) = (String::new(), TOP, "");
    for row in rows {
        if row.work != last {
            y += 12.0;
            let _ = writeln!(
                svg,
                r#"<text x="{:.0}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 10.0,
                y + 11.0,
                row.work
            );
            last = &row.work;
        }
        let colour = peers.iter().position(|peer| *peer == row.peer).unwrap_or(0);
        let (from, to) = (axis.x(1.0).min(axis.x(row.ratio)), axis.x(1.0).max(axis.x(row.ratio)));
        let fill = COLOURS[colour % COLOURS.len()];
        let _ = writeln!(
            svg,
            r#"<rect x="{from:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{fill}"/><text x="{:.1}" y="{:.1}" font-size="10">{:.2}</text>"#,
            to - from,
            BAR - 2.0,
            to + 4.0,
            y + 10.0,
            row.ratio
        );
        y += BAR;
    }
    (svg, y)
}

fn legend(peers: &[&str]) -> String {
    let mut svg = String::new();
    for (n, peer) in peers.iter().enumerate() {
        let at = LEFT + 130.0 * n as f64;
        let fill = COLOURS[n % COLOURS.len()];
        let _ = writeln!(
            svg,
            r#"<rect x="{at}" y="34" width="12" height="12" fill="{fill}"/><text x="{}" y="44">{peer}</text>"#,
            at + 17.0
        );
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(work: &str, peer: &'static str, ratio: f64) -> Row {
        Row { work: work.into(), ours: 1.0, peer, peer_value: ratio, ratio }
    }

    #[test]
    fn there_is_a_bar_for_each_row_and_a_label_for_each_work() {
        let rows =
            [row("training step", "eager", 4.0), row("training step", "tuned", 0.5), row("first image", "eager", 30.0)];
        let picture = svg(&rows, "two cores");
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        assert_eq!(picture.matches(">training step<").count(), 1);
        assert_eq!(picture.matches("height=\"12.0\"").count(), 3);
        assert!([">4.00<", ">0.50<", ">30.00<", ">two cores<"].iter().all(|label| picture.contains(label)));
        assert!(!picture.contains("NaN") && !picture.contains("width=\"-"));
    }

    #[test]
    fn no_rows_make_an_empty_picture() {
        assert!(!svg(&[], "").contains("NaN"));
    }
}
