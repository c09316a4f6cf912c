//! The pseudo-classes that a page at rest decides.
//!
//! Those about the structure of the tree (`:first-child`, `:is()`, `:has()`, …) are `selectors`'
//! own.

use std::fmt;

use cssparser::{Parser as CssParser, ToCss, match_ignore_ascii_case};
use selectors::parser::NonTSPseudoClass;

use super::direction::{Direction, direction};
use super::element::CssElement;
use super::language::LanguageRange;
use super::{controls, language, limits, links};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PseudoClass {
    Link,
    Defined,
    Open,
    Enabled,
    Disabled,
    Checked,
    Default,
    Indeterminate,
    Required,
    Optional,
    ReadOnly,
    ReadWrite,
    PlaceholderShown,
    InRange,
    OutOfRange,
    Lang(Vec<LanguageRange>),
    /// An unknown direction matches nothing, but may be written.
    Dir(Option<Direction>),
    /// A state that only a user or a script brings about: `:hover`, `:visited`.
    Never,
}

impl PseudoClass {
    /// Returns the pseudo-class that is written without an argument.
    pub(super) fn named(name: &str) -> Option<PseudoClass> {
        Some(match_ignore_ascii_case! { name,
            "link" | "any-link" => PseudoClass::Link,
            "defined" => PseudoClass::Defined,
            "open" => PseudoClass::Open,
            "enabled" => PseudoClass::Enabled,
            "disabled" => PseudoClass::Disabled,
            "checked" => PseudoClass::Checked,
            "default" => PseudoClass::Default,
            "indeterminate" => PseudoClass::Indeterminate,
            "required" => PseudoClass::Required,
            "optional" => PseudoClass::Optional,
            "read-only" => PseudoClass::ReadOnly,
            "read-write" => PseudoClass::ReadWrite,
            "placeholder-shown" => PseudoClass::PlaceholderShown,
            "in-range" => PseudoClass::InRange,
            "out-of-range" => PseudoClass::OutOfRange,
            "hover" | "active" | "focus" | "focus-visible" | "focus-within" | "visited"
                | "user-valid" | "user-invalid" | "autofill" | "-webkit-autofill" | "fullscreen" | "modal"
                | "popover-open" | "picture-in-picture" | "current" | "past" | "future" =>
                PseudoClass::Never,
            _ => return None,
        })
    }

    /// Returns the pseudo-class that is written with an argument, or what was expected where the
    /// argument is wrong.
    pub(super) fn with_argument(
        name: &str,
        input: &mut CssParser<'_>,
    ) -> Option<Result<PseudoClass, &'static str>> {
        match_ignore_ascii_case! { name,
            "lang" => Some(language::parse(input).map(PseudoClass::Lang)
                .map_err(|_| "expected languages, such as en, \"de-CH\" or \"*-Latn\"")),
            "dir" => Some(input.expect_ident().map(|name| PseudoClass::Dir(Direction::named(name)))
                .map_err(|_| "expected ltr or rtl")),
            _ => None,
        }
    }

    pub(super) fn matches(&self, element: CssElement<'_>) -> bool {
        match self {
            PseudoClass::Link => links::is_link(element),
            PseudoClass::Defined => links::is_defined(element),
            PseudoClass::Open => {
                element.is_one_of(&["details", "dialog"]) && element.has_attribute("open")
            }
            PseudoClass::Enabled => {
                controls::can_be_disabled(element) && !controls::is_disabled(element)
            }
            PseudoClass::Disabled => controls::is_disabled(element),
            PseudoClass::Checked => controls::is_checked(element),
            PseudoClass::Default => controls::is_default(element),
            PseudoClass::Indeterminate => controls::is_indeterminate(element),
            PseudoClass::Required => controls::is_required(element),
            PseudoClass::Optional => {
                controls::may_be_required(element) && !controls::is_required(element)
            }
            PseudoClass::ReadOnly => element.is_html() && !controls::is_read_write(element),
            PseudoClass::ReadWrite => controls::is_read_write(element),
            PseudoClass::PlaceholderShown => controls::shows_placeholder(element),
            PseudoClass::InRange => limits::keeps_its_limits(element) == Some(true),
            PseudoClass::OutOfRange => limits::keeps_its_limits(element) == Some(false),
            PseudoClass::Lang(ranges) => language::matches(element, ranges),
            PseudoClass::Dir(wanted) => wanted.is_some_and(|wanted| direction(element) == wanted),
            PseudoClass::Never => false,
        }
    }
}

impl ToCss for PseudoClass {
    /// The trait requires this; no selector is ever written here.
    fn to_css<W: fmt::Write>(&self, to: &mut W) -> fmt::Result {
        write!(to, ":{self:?}")
    }
}

impl NonTSPseudoClass for PseudoClass {
    fn is_active_or_hover(&self) -> bool {
        false
    }

    fn is_user_action_state(&self) -> bool {
        false
    }
}
