//! Links, and names that a script would have to define.

use super::element::CssElement;

/// `:link` and `:any-link`: `a` and `area` of HTML, and `a` of SVG, with an address.
pub(super) fn is_link(element: CssElement<'_>) -> bool {
    if element.is_html() {
        return element.is_one_of(&["a", "area"]) && element.has_attribute("href");
    }
    let has_address =
        || element.has_attribute("href") || element.attribute_in("xlink", "href").is_some();
    &**element.name() == "a" && has_address() && is_in_svg(element)
}

/// The tree does not tell SVG from MathML, but the root of either has its name.
fn is_in_svg(element: CssElement<'_>) -> bool {
    let foreign = element.ancestors().take_while(|ancestor| !ancestor.is_html());
    foreign.map(|ancestor| &**ancestor.name()).find(|name| matches!(*name, "svg" | "math"))
        == Some("svg")
}

/// `:defined`: all but custom elements, since no script has said what they are.
pub(super) fn is_defined(element: CssElement<'_>) -> bool {
    !element.is_html() || !(is_custom_name(element.name()) || element.has_attribute("is"))
}

/// A name with a hyphen that the parser made an element of starts as a custom one does; these were
/// others' before.
fn is_custom_name(name: &str) -> bool {
    const TAKEN: &[&str] = &[
        "annotation-xml",
        "color-profile",
        "font-face",
        "font-face-src",
        "font-face-uri",
        "font-face-format",
        "font-face-name",
        "missing-glyph",
    ];
    name.contains('-') && !TAKEN.contains(&name)
}
