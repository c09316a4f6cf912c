//! `:dir()`: the direction in which the text of an element runs, by the rules of the HTML standard.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;

use super::controls::{InputType, value};
use super::element::CssElement;
use crate::page::html::document::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ltr,
    Rtl,
}

impl Direction {
    pub(super) fn named(name: &str) -> Option<Direction> {
        match () {
            () if name.eq_ignore_ascii_case("ltr") => Some(Direction::Ltr),
            () if name.eq_ignore_ascii_case("rtl") => Some(Direction::Rtl),
            () => None,
        }
    }
}

/// The meaning of a `dir` attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Fixed(Direction),
    Auto,
}

fn said(element: CssElement<'_>) -> Option<Said> {
    let value = if element.is_html() { element.attribute("dir")? } else { return None };
    match Direction::named(value) {
        Some(direction) => Some(Said::Fixed(direction)),
        None => value.eq_ignore_ascii_case("auto").then_some(Said::Auto),
    }
}

pub(super) fn direction(element: CssElement<'_>) -> Direction {
    let own = |element: CssElement<'_>| match said(element) {
        Some(Said::Fixed(direction)) => Some(direction),
        Some(Said::Auto) => Some(automatic(element)),
        None if element.is("bdi") => Some(automatic(element)),
        None if InputType::of(element) == Some(InputType::Tel) => Some(Direction::Ltr),
        None => None,
    };
    element.and_ancestors().find_map(own).unwrap_or(Direction::Ltr)
}

/// Returns the direction of the first character that has one; from left to right where none has.
fn automatic(element: CssElement<'_>) -> Direction {
    let visits = &element.reading.visits;
    let of_text = |text: &str| if visits.take_text(text) { first_strong(text) } else { None };
    let of_control = match InputType::of(element) {
        Some(input) => Some(if input.is_automatic() { value(element) } else { "".into() }),
        None => element.is("textarea").then(|| value(element)),
    };
    match of_control {
        Some(value) => of_text(&value),
        None => texts(element).find_map(of_text),
    }
    .unwrap_or(Direction::Ltr)
}

/// Returns the texts below an element, except in elements with a direction of their own.
fn texts<'a>(element: CssElement<'a>) -> impl Iterator<Item = &'a str> {
    let document = element.document();
    let mut nodes = document.descendants(element.id);
    std::iter::from_fn(move || {
        while nodes.start < nodes.end && element.reading.visits.take() {
            let below = CssElement { id: nodes.start, ..element };
            let is_passed = below.is_one_of(&["bdi", "script", "style", "textarea", "template"])
                || document.is_element(below.id) && said(below).is_some();
            nodes.start = if is_passed { document.descendants(below.id).end } else { below.id + 1 };
            if document.kind(below.id) == Kind::Text {
                return Some(document.text(below.id));
            }
        }
        None
    })
}

fn first_strong(text: &str) -> Option<Direction> {
    let classes = CodePointMapData::<BidiClass>::new();
    text.chars().find_map(|c| match classes.get(c) {
        BidiClass::LeftToRight => Some(Direction::Ltr),
        BidiClass::RightToLeft | BidiClass::ArabicLetter => Some(Direction::Rtl),
        _ => None,
    })
}
