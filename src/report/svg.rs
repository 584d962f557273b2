//! A drawing as SVG text.

use super::drawing::{Drawing, Element, Style};
use super::font::Anchor;
use std::fmt::Write;

/// A viewer without Roboto takes a font that is about as wide.
const FAMILY: &str = "Roboto, Helvetica Neue, Arial, sans-serif";

impl Drawing {
    /// The drawing as an SVG file.
    pub fn to_svg(&self) -> String {
        let [width, height] = [self.width, self.height].map(number);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FAMILY}\">\n"
        );
        for element in &self.elements {
            svg += &element_text(element);
            svg.push('\n');
        }
        svg + "</svg>\n"
    }
}

fn element_text(element: &Element) -> String {
    match element {
        Element::Rectangle { x, y, width, height, style } => {
            let [x, y, width, height] = [*x, *y, *width, *height].map(number);
            let (fill, style) = (fill(style), attributes(style));
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{fill}{style}/>")
        }
        Element::Line { from, to, style } => {
            let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
            format!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"{}/>", attributes(style))
        }
        Element::Circle { center, radius, style } => {
            let [x, y, radius] = [center.0, center.1, *radius].map(number);
            format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{}{}/>", fill(style), attributes(style))
        }
        Element::Polyline { points, style } => {
            format!("<polyline points=\"{}\" fill=\"none\"{}/>", coordinates(points), attributes(style))
        }
        Element::Polygon { points, style } => {
            format!("<polygon points=\"{}\"{}{}/>", coordinates(points), fill(style), attributes(style))
        }
        Element::Text { x, y, text, font, anchor, degrees } => {
            let [x, y] = [*x, *y].map(number);
            let weight = if font.is_bold { " font-weight=\"bold\"" } else { "" };
            let turn = match *degrees {
                0.0 => String::new(),
                degrees => format!(" transform=\"rotate({} {x} {y})\"", number(degrees)),
            };
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let (size, color, text) = (number(font.size), font.color, escaped(text));
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{color}\" \
                 text-anchor=\"{anchor}\"{weight}{turn}>{text}</text>"
            )
        }
    }
}

fn fill(style: &Style) -> String {
    format!(" fill=\"{}\"", style.fill.as_deref().unwrap_or("none"))
}

/// All attributes of a style but its fill, which lines have not.
fn attributes(style: &Style) -> String {
    let mut text = String::new();
    if let Some((color, width)) = &style.stroke {
        let _ = write!(text, " stroke=\"{color}\" stroke-width=\"{}\"", number(*width));
    }
    if style.has_round_joins {
        text += " stroke-linejoin=\"round\"";
    }
    if let Some([dash, gap]) = style.dash {
        let _ = write!(text, " stroke-dasharray=\"{} {}\"", number(dash), number(gap));
    }
    if style.radius > 0.0 {
        let _ = write!(text, " rx=\"{}\"", number(style.radius));
    }
    text
}

fn coordinates(points: &[(f64, f64)]) -> String {
    let pairs: Vec<String> = points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
    pairs.join(" ")
}

/// A coordinate with at most two decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::drawing::INK;
    use super::super::font::Font;
    use super::*;

    #[test]
    fn what_users_write_cannot_break_the_file() {
        let mut drawing = Drawing::new(100.0, 20.0);
        drawing.text(0.0, 10.0, "<a & \"b\">", Font::new(10.0, INK), Anchor::Start);
        assert!(drawing.to_svg().contains("&lt;a &amp; &quot;b&quot;&gt;"));
        drawing.to_pixels(1.0).unwrap();
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 1.0, -1.5, 100.0, 0.126].map(number), ["0", "1", "-1.5", "100", "0.13"]);
    }
}
