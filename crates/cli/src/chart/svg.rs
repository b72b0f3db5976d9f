//! A scene as SVG.

use std::fmt::Write;

use super::scene::{Anchor, Colour, Item, Scene};

pub(super) fn render(scene: &Scene) -> String {
    let Scene { width, height, items } = scene;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for item in items {
        match item {
            Item::Line { points, colour, width } => {
                let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", short(*x), short(*y))).collect();
                let _ = writeln!(
                    svg,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                     stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
                    points.join(" "),
                    hex(*colour)
                );
            }
            Item::Text { at: [x, y], size, anchor, colour, text } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
                    short(*x),
                    short(*y),
                    hex(*colour),
                    escape(text)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Hundredths of a pixel, without trailing zeros.
fn short(x: f64) -> String {
    let text = format!("{x:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn hex([r, g, b]: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text as XML has it; control characters, which XML cannot hold, become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_an_element_and_text_is_escaped() {
        let mut scene = Scene { width: 100.0, height: 50.0, items: Vec::new() };
        scene.line(vec![[0.0, 0.5], [12.3456, 50.0]], [255, 0, 16], 1.5);
        scene.text([3.0, 4.0], 12.0, Anchor::End, [0; 3], "a < b & c\u{1}");
        let svg = render(&scene);
        assert!(svg.contains("points=\"0,0.5 12.35,50\"") && svg.contains("stroke=\"#ff0010\""), "{svg}");
        assert!(svg.contains("text-anchor=\"end\"") && svg.contains(">a &lt; b &amp; c </text>"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
