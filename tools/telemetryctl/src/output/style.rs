//! Colours of text.

use std::fmt::Write;

/// What a text means, which decides its colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing in particular.
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// Less important.
    Dim,
    /// As it should be.
    Good,
    /// To look at.
    Warning,
    /// To fix.
    Bad,
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    is_on: bool,
}

impl Paint {
    /// With colours or without.
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// Whether there are colours.
    pub(crate) fn is_on(self) -> bool {
        self.is_on
    }

    /// The text in the colour of `style`.
    pub(crate) fn paint(self, text: &str, style: Style) -> String {
        let mut painted = String::with_capacity(text.len());
        let code = match style {
            Style::Plain => 0,
            Style::Heading => 1,
            Style::Dim => 2,
            Style::Good => 32,
            Style::Warning => 33,
            Style::Bad => 31,
        };
        let _ = match style {
            Style::Plain => write!(painted, "{text}"),
            _ if !self.is_on => write!(painted, "{text}"),
            _ => write!(painted, "\x1b[{code}m{text}\x1b[0m"),
        };
        painted
    }
}
