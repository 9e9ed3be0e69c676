// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the pictures are drawn on: a page of a fixed width that grows downwards, in light and in dark.

use super::lettering::Letters;

/// Of every picture: what a page of documentation shows without making it smaller.
pub const WIDTH: f64 = 1000.0;
/// Nothing stands nearer to the edges.
pub const MARGIN: f64 = 24.0;

/// Class, colour on a light ground, colour on a dark one. Every one of them can be read as text on its ground.
const COLOURS: [(&str, &str, &str); 9] = [
    ("ground", "#ffffff", "#0d1117"),
    ("ink", "#1f2933", "#e6edf3"),
    ("soft", "#52606d", "#a3b0bd"),
    ("line", "#d9e0e6", "#30363d"),
    ("met", "#22736a", "#4fb8a8"),
    ("near", "#8a5c00", "#e0b04a"),
    ("short", "#b3362f", "#ff8078"),
    ("peer", "#9a4a9c", "#d598d6"),
    ("onbar", "#ffffff", "#0d1117"),
];

/// From where a text goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture that is being drawn.
pub struct Canvas {
    title: String,
    body: String,
}

impl Canvas {
    /// A blank page. `title` is what it shows, in words.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_string(), body: String::new() }
    }

    /// One line of text with its baseline at `y`. What may be longer than the room for it belongs into [`Self::paragraph`].
    pub fn line(&mut self, x: f64, y: f64, anchor: Anchor, letters: Letters, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if letters.is_bold { " font-weight=\"600\"" } else { "" };
        self.body.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" font-size=\"{}\"{weight}{anchor}>{}</text>\n",
            letters.size,
            escaped(text)
        ));
    }

    /// Lines of text, the first one with its baseline at `y`; the baseline of the line that would be the next.
    pub fn paragraph(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        letters: Letters,
        class: &str,
        lines: &[String],
    ) -> f64 {
        let mut baseline = y;
        for line in lines {
            self.line(x, baseline, anchor, letters, class, line);
            baseline += spacing(letters);
        }
        baseline
    }

    /// A straight line.
    pub fn stroke(&mut self, from: (f64, f64), to: (f64, f64), class: &str, width: f64) {
        self.body.push_str(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\" stroke-width=\"{width}\"/>\n",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A filled shape, by the commands of an SVG path.
    pub fn shape(&mut self, path: &str, class: &str) {
        self.body.push_str(&format!("<path d=\"{path}\" class=\"{class}\"/>\n"));
    }

    /// Draws what `draw` draws as one thing, which shows `hint` when one points at it.
    pub fn group(&mut self, hint: &str, draw: impl FnOnce(&mut Self)) {
        self.body.push_str(&format!("<g><title>{}</title>\n", escaped(hint)));
        draw(self);
        self.body.push_str("</g>\n");
    }

    /// The picture, of this height.
    pub fn finish(self, height: f64) -> String {
        let Self { title, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" role=\"img\">\n\
             <title>{}</title>\n<style>\n{}</style>\n\
             <rect width=\"100%\" height=\"100%\" class=\"ground\"/>\n{body}</svg>\n",
            escaped(&title),
            style()
        )
    }
}

/// From one baseline to the next.
pub fn spacing(letters: Letters) -> f64 {
    (letters.size * 1.3).round()
}

fn style() -> String {
    let rules = |colour: fn(&(&str, &'static str, &'static str)) -> &'static str, indent: &str| {
        let of = |it: &(&str, &'static str, &'static str)| {
            format!(
                "{indent}.{name} {{fill:{it}; stroke:none}} line.{name} {{stroke:{it}}}\n",
                name = it.0,
                it = colour(it)
            )
        };
        COLOURS.iter().map(of).collect::<String>()
    };
    format!("{}@media (prefers-color-scheme: dark) {{\n{}}}\n", rules(|it| it.1, ""), rules(|it| it.2, "  "))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::figures::lettering::{bold, plain};

    /// The value of an attribute.
    fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
        element.split_once(&format!(" {name}=\""))?.1.split('"').next()
    }

    /// Each text of a picture with where it begins and ends, and its baseline.
    fn texts(svg: &str) -> Vec<(String, f64, f64, f64)> {
        let of = |element: &str| {
            let (attributes, text) = element.split_once('>')?;
            let text =
                text.split("</text>").next()?.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            let number = |name: &str| attribute(attributes, name)?.parse::<f64>().ok();
            let size = number("font-size")?;
            let letters =
                if attribute(attributes, "font-weight").is_some() { bold(size) } else { plain(size) };
            let (x, width) = (number("x")?, letters.width(&text));
            let begins = match attribute(attributes, "text-anchor") {
                None => x,
                Some("middle") => x - width / 2.0,
                Some(_) => x - width,
            };
            Some((text, begins, begins + width, number("y")?))
        };
        svg.split("<text").skip(1).map(|element| of(element).unwrap_or_else(|| panic!("{element}"))).collect()
    }

    /// Fails where a text of a picture goes beyond its margins, or two texts lie on each other.
    pub fn assert_everything_can_be_read(svg: &str) {
        let height: f64 = attribute(svg, "height").unwrap().parse().unwrap();
        let texts = texts(svg);
        assert!(!texts.is_empty());
        for (text, begins, ends, baseline) in &texts {
            assert!(
                *begins >= MARGIN - 0.1 && *ends <= WIDTH - MARGIN + 0.1,
                "{begins:.0} to {ends:.0}: {text}"
            );
            assert!(*baseline > 10.0 && *baseline < height - 4.0, "at {baseline} of {height}: {text}");
        }
        for (at, (text, begins, ends, baseline)) in texts.iter().enumerate() {
            for (other, other_begins, other_ends, other_baseline) in &texts[at + 1..] {
                let is_beside = ends < other_begins || other_ends < begins;
                assert!(is_beside || (baseline - other_baseline).abs() > 8.0, "'{text}' lies on '{other}'");
            }
        }
    }

    /// How well two colours can be told apart (WCAG 2.2, contrast ratio).
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let share = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_colour_of_text_can_be_read_on_its_ground_in_light_and_in_dark() {
        let of = |name: &str| *COLOURS.iter().find(|it| it.0 == name).unwrap();
        let (ground, onbar) = (of("ground"), of("onbar"));
        for name in ["ink", "soft", "met", "near", "short", "peer"] {
            let it = of(name);
            assert!(contrast(it.1, ground.1) >= 4.5, "{name}: {:.1}", contrast(it.1, ground.1));
            assert!(contrast(it.2, ground.2) >= 4.5, "{name}, dark: {:.1}", contrast(it.2, ground.2));
            assert!(contrast(it.1, onbar.1) >= 4.5 && contrast(it.2, onbar.2) >= 4.5, "{name}: on a bar");
        }
    }

    #[test]
    fn a_picture_has_the_colours_of_light_and_of_dark() {
        let svg = Canvas::new("t").finish(10.0);
        let (light, dark) = svg.split_once("prefers-color-scheme: dark").unwrap();
        assert!(light.contains(".ground {fill:#ffffff") && dark.contains(".ground {fill:#0d1117"));
    }

    #[test]
    fn text_can_not_break_the_picture() {
        let mut canvas = Canvas::new("a < b & c");
        canvas.line(30.0, 20.0, Anchor::Start, plain(12.0), "ink", "a < b & c");
        let svg = canvas.finish(40.0);
        assert!(svg.contains(">a &lt; b &amp; c</text>") && svg.contains("<title>a &lt; b &amp; c</title>"));
        assert_everything_can_be_read(&svg);
    }

    #[test]
    #[should_panic(expected = "to 1")]
    fn a_text_that_is_cut_off_at_the_right_is_noticed() {
        let mut canvas = Canvas::new("t");
        canvas.line(960.0, 20.0, Anchor::Start, plain(12.0), "ink", "every frame");
        assert_everything_can_be_read(&canvas.finish(40.0));
    }

    #[test]
    #[should_panic(expected = "-")]
    fn a_text_that_is_cut_off_at_the_left_is_noticed() {
        let mut canvas = Canvas::new("t");
        canvas.line(40.0, 20.0, Anchor::End, plain(12.0), "ink", "every frame");
        assert_everything_can_be_read(&canvas.finish(40.0));
    }
}
