//! A figure: panels with axes, and one legend for all.

use super::{
    axis::{Axis, Scale},
    scene::{Anchor, Colour, Scene},
    simplify::simplify,
};

const PANEL: [f64; 2] = [400.0, 260.0];
/// From a panel's corner to its frame: left, top, right, bottom.
const INSET: [f64; 4] = [56.0, 30.0, 22.0, 42.0];
const TITLE_HEIGHT: f64 = 36.0;
const LEGEND_LINE: f64 = 20.0;
/// Room for the first curve's name beside its sample of line.
const SAMPLE: f64 = 26.0;
/// Furthest that the line drawn may be from a point, in pixels.
const TOLERANCE: f64 = 0.1;
/// Width of the lines of errors.
const ERROR_WIDTH: f64 = 0.9;

const INK: Colour = [34; 3];
const GREY: Colour = [110; 3];
const GRID: Colour = [228; 3];
/// Told apart also by people who see few colours (Okabe & Ito 2008), without the yellow that vanishes on white.
const COLOURS: [Colour; 7] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [230, 159, 0], [0, 0, 0]];

/// A curve; every panel has one for each name of the figure, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// `(x, y)`; where one is not finite, or cannot be shown on its axis, the curve has a gap.
    pub(crate) points: Vec<[f64; 2]>,
    /// The standard error of each point, drawn as a line up and down; empty if there are none.
    pub(crate) errors: Vec<f64>,
}

impl Series {
    /// A curve without errors.
    pub(crate) fn line(points: Vec<[f64; 2]>) -> Self {
        Self { points, errors: Vec::new() }
    }
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_label: String,
    pub(crate) y_scale: Scale,
    pub(crate) series: Vec<Series>,
}

/// Panels in two columns; the legend stands above a single one, and else in the last cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) title: String,
    /// What the curves are called.
    pub(crate) names: Vec<String>,
    pub(crate) panels: Vec<Panel>,
}

impl Figure {
    pub(super) fn scene(&self) -> Scene {
        let columns = self.panels.len().min(2);
        let legend = LEGEND_LINE * self.names.len() as f64;
        // The last row has a free cell if the number of panels is odd.
        let beside = columns == 2 && self.panels.len() % 2 == 1 && legend <= PANEL[1] - INSET[1];
        let top = TITLE_HEIGHT + if beside { 0.0 } else { legend };
        let rows = self.panels.len().div_ceil(2);
        let (width, height) = (PANEL[0] * columns as f64, top + PANEL[1] * rows as f64);
        let mut scene = Scene { width, height, items: Vec::new() };
        scene.text([INSET[0], 24.0], 16.0, Anchor::Start, INK, self.title.as_str());
        let cell = |n: usize| [PANEL[0] * (n % 2) as f64, top + PANEL[1] * (n / 2) as f64];
        for (n, panel) in self.panels.iter().enumerate() {
            panel.draw(&mut scene, cell(n));
        }
        let [x, y] = if beside { cell(self.panels.len()) } else { [0.0, TITLE_HEIGHT - LEGEND_LINE] };
        self.draw_legend(&mut scene, [x + INSET[0], y + if beside { INSET[1] } else { LEGEND_LINE - 4.0 }]);
        scene
    }

    fn draw_legend(&self, scene: &mut Scene, [x, y]: [f64; 2]) {
        for (n, name) in self.names.iter().enumerate() {
            let y = y + LEGEND_LINE * (n as f64 + 0.5);
            scene.line(vec![[x, y], [x + SAMPLE - 6.0, y]], COLOURS[n % COLOURS.len()], 2.0);
            scene.text([x + SAMPLE, y + 4.5], 13.0, Anchor::Start, INK, name.as_str());
        }
    }
}

impl Panel {
    fn draw(&self, scene: &mut Scene, [x, y]: [f64; 2]) {
        let [left, top] = [x + INSET[0], y + INSET[1]];
        let [right, bottom] = [x + PANEL[0] - INSET[2], y + PANEL[1] - INSET[3]];
        let points = || self.series.iter().flat_map(|series| &series.points);
        // A value that the other axis cannot show does not count.
        let shown = || {
            points().filter(|[x, y]| x.is_finite() && (y.is_finite() && (self.y_scale == Scale::Linear || *y > 0.0)))
        };
        let horizontal = Axis::holding(Scale::Linear, shown().map(|point| point[0]), [left, right]);
        let vertical = Axis::holding(self.y_scale, shown().map(|point| point[1]), [bottom, top]).with_margin();
        scene.text([left, top - 9.0], 13.0, Anchor::Start, INK, self.title.as_str());
        for (value, label) in vertical.marks() {
            if let Some(at) = vertical.pixel(value) {
                scene.line(vec![[left, at], [right, at]], GRID, 1.0);
                scene.text([left - 6.0, at + 4.0], 11.0, Anchor::End, GREY, label);
            }
        }
        for (value, label) in horizontal.marks() {
            if let Some(at) = horizontal.pixel(value) {
                scene.line(vec![[at, top], [at, bottom]], GRID, 1.0);
                scene.text([at, bottom + 16.0], 11.0, Anchor::Middle, GREY, label);
            }
        }
        scene.text([0.5 * (left + right), bottom + 34.0], 12.0, Anchor::Middle, GREY, self.x_label.as_str());
        let frame = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
        scene.line(frame.to_vec(), GREY, 1.0);
        for (n, series) in self.series.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            for ([x, y], error) in series.points.iter().zip(&series.errors) {
                let ends = [y - error, y + error].map(|end| vertical.pixel(end).map(|at| at.clamp(top, bottom)));
                // On a logarithmic axis an error that reaches 0 has no lower end: it goes to the frame.
                let ends = [ends[0].unwrap_or(bottom), ends[1].unwrap_or(top)];
                if let (Some(at), true) = (horizontal.pixel(*x), vertical.pixel(*y).is_some() && *error > 0.0) {
                    scene.line(vec![[at, ends[0]], [at, ends[1]]], colour, ERROR_WIDTH);
                }
            }
            let pixels = series.points.iter().map(|[x, y]| Some([horizontal.pixel(*x)?, vertical.pixel(*y)?]));
            let pixels: Vec<Option<[f64; 2]>> = pixels.collect();
            for part in pixels.split(Option::is_none).filter(|part| !part.is_empty()) {
                let mut part = simplify(part.iter().copied().flatten().collect(), TOLERANCE);
                if let [alone] = part[..] {
                    part.push(alone); // a dot
                }
                scene.line(part, colour, 1.8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scene::Item, *};

    fn figure(panels: usize, points: &[[f64; 2]]) -> Figure {
        let series = vec![Series::line(points.to_vec())];
        let panel = Panel { title: "p".into(), x_label: "x".into(), y_scale: Scale::Log, series };
        Figure { title: "t".into(), names: vec!["n".into()], panels: vec![panel; panels] }
    }

    /// The curves, by their width.
    fn curves(figure: &Figure) -> Vec<Vec<[f64; 2]>> {
        let items = figure.scene().items;
        items
            .into_iter()
            .filter_map(|item| match item {
                Item::Line { points, width: 1.8, .. } => Some(points),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn everything_lies_within_the_picture() {
        for panels in 1..=6 {
            let scene = figure(panels, &[[1.0, 1e-9], [2.0, 5.0], [3.0, 1e9]]).scene();
            for item in &scene.items {
                let points = match item {
                    Item::Line { points, .. } => points.clone(),
                    Item::Text { at, .. } => vec![*at],
                };
                assert!(points.iter().all(|[x, y]| (0.0..scene.width).contains(x) && (0.0..scene.height).contains(y)));
            }
        }
    }

    #[test]
    fn errors_are_lines_within_the_frame_through_the_points_that_have_them() {
        let mut figure = figure(1, &[[1.0, 1.0], [2.0, 10.0], [3.0, 100.0], [4.0, 0.0]]);
        figure.panels[0].series[0].errors = vec![2.0, 0.0, 50.0, 1.0];
        let lines: Vec<Vec<[f64; 2]>> = figure
            .scene()
            .items
            .into_iter()
            .filter_map(|item| match item {
                Item::Line { points, width: ERROR_WIDTH, .. } => Some(points),
                _ => None,
            })
            .collect();
        let top = TITLE_HEIGHT + LEGEND_LINE;
        let frame = (top + INSET[1], top + PANEL[1] - INSET[3]);
        assert_eq!(lines.len(), 2, "not where there is no error, and not where the point cannot be shown");
        assert_eq!(lines[0][0], [INSET[0], frame.1], "1 - 2 is below 0");
        assert!(lines.iter().flatten().all(|[_, y]| (frame.0..=frame.1).contains(y)));
        assert!(lines.iter().all(|line| line[0][0] == line[1][0] && line[1][1] < line[0][1]));
    }

    #[test]
    fn a_curve_has_gaps_where_there_is_nothing_to_show_and_dots_stay_visible() {
        let points =
            [[1.0, f64::INFINITY], [2.0, 1.0], [3.0, 10.0], [4.0, 0.0], [5.0, f64::NAN], [6.0, 3.0], [7.0, -1.0]];
        let curves = curves(&figure(1, &points));
        assert_eq!(curves.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(curves[1][0], curves[1][1]);
        // The horizontal axis holds what is shown: from 2 to 6.
        assert_eq!(curves[0][0][0], INSET[0]);
    }
}
