//! Links, and elements that a script would have to define.

use super::element::CssElement;

/// Matches `:link` and `:any-link`: `a` and `area` of HTML, and `a` of SVG, with a URL.
pub(super) fn is_link(element: CssElement<'_>) -> bool {
    if element.is_html() {
        return element.is_one_of(&["a", "area"]) && element.has_attribute("href");
    }
    let has_address =
        || element.has_attribute("href") || element.attribute_in("xlink", "href").is_some();
    &**element.name() == "a" && has_address() && is_in_svg(element)
}

/// Tells SVG from MathML by the name of the root, since the tree keeps no namespace.
fn is_in_svg(element: CssElement<'_>) -> bool {
    let foreign = element.ancestors().take_while(|ancestor| !ancestor.is_html());
    foreign.map(|ancestor| &**ancestor.name()).find(|name| matches!(*name, "svg" | "math"))
        == Some("svg")
}

/// Matches `:defined`: all but custom elements, since no script has defined them.
pub(super) fn is_defined(element: CssElement<'_>) -> bool {
    !element.is_html() || !(is_custom_name(element.name()) || element.has_attribute("is"))
}

/// Tells whether a name is one of a custom element. Every name with a hyphen is, but for those that
/// HTML, SVG and MathML used before.
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
