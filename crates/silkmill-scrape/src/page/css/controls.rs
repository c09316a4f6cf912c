//! The controls of forms before any user input, by the HTML standard.
//!
//! A control belongs to the form that its `form` attribute names, or else to the one it is in.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::element::{CssElement, Reading};
use crate::page::html::document::{Document, NodeId};

/// The types of an `input` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputType {
    Text,
    Search,
    Tel,
    Url,
    Email,
    Password,
    Date,
    Month,
    Week,
    Time,
    DatetimeLocal,
    Number,
    Range,
    Color,
    Checkbox,
    Radio,
    File,
    Hidden,
    Submit,
    Image,
    Reset,
    Button,
}

impl InputType {
    /// Returns the type of an `input`, and `None` for other elements.
    pub(super) fn of(element: CssElement<'_>) -> Option<InputType> {
        let named = |name: &str| InputType::named(&name.to_ascii_lowercase());
        let name = element.is("input").then(|| element.attribute("type"))?;
        Some(name.map_or(InputType::Text, named))
    }

    fn named(name: &str) -> InputType {
        match name {
            "search" => InputType::Search,
            "tel" => InputType::Tel,
            "url" => InputType::Url,
            "email" => InputType::Email,
            "password" => InputType::Password,
            "date" => InputType::Date,
            "month" => InputType::Month,
            "week" => InputType::Week,
            "time" => InputType::Time,
            "datetime-local" => InputType::DatetimeLocal,
            "number" => InputType::Number,
            "range" => InputType::Range,
            "color" => InputType::Color,
            "checkbox" => InputType::Checkbox,
            "radio" => InputType::Radio,
            "file" => InputType::File,
            "hidden" => InputType::Hidden,
            "submit" => InputType::Submit,
            "image" => InputType::Image,
            "reset" => InputType::Reset,
            "button" => InputType::Button,
            _ => InputType::Text,
        }
    }

    /// Tells whether the input takes one line of any text.
    fn is_text(self) -> bool {
        use InputType::{Email, Password, Search, Tel, Text, Url};
        matches!(self, Text | Search | Tel | Url | Email | Password)
    }

    fn is_date_or_time(self) -> bool {
        use InputType::{Date, DatetimeLocal, Month, Time, Week};
        matches!(self, Date | Month | Week | Time | DatetimeLocal)
    }

    /// Tells whether `readonly` has a meaning for the input.
    pub(super) fn can_be_read_only(self) -> bool {
        self.is_text() || self.is_date_or_time() || self == InputType::Number
    }

    fn can_be_required(self) -> bool {
        self.can_be_read_only()
            || matches!(self, InputType::Checkbox | InputType::Radio | InputType::File)
    }

    /// Tells whether `dir=auto` reads the value.
    pub(super) fn is_automatic(self) -> bool {
        use InputType::{Button, Hidden, Reset, Submit};
        self.is_text() || matches!(self, Hidden | Submit | Reset | Button)
    }
}

/// Returns the value of an `input` or `textarea` before any user input, as far as the visits allow.
pub(super) fn value(element: CssElement<'_>) -> Cow<'_, str> {
    let Some(input) = InputType::of(element) else {
        return element.document().text(element.id).into();
    };
    let value = element.attribute("value").unwrap_or("");
    if !element.reading.visits.take_text(value) {
        return "".into();
    }
    match input {
        InputType::Number if super::limits::number(value).is_none() => "".into(),
        _ if input.is_text() && value.contains(['\n', '\r']) => {
            value.replace(['\n', '\r'], "").into()
        }
        InputType::Url | InputType::Email => value.trim_ascii().into(),
        _ => value.into(),
    }
}

const FIELDS: &[&str] = &["button", "input", "select", "textarea"];

pub(super) fn can_be_disabled(element: CssElement<'_>) -> bool {
    element.is_one_of(FIELDS) || element.is_one_of(&["fieldset", "optgroup", "option"])
}

pub(super) fn is_disabled(element: CssElement<'_>) -> bool {
    if !can_be_disabled(element) {
        return false;
    }
    element.has_attribute("disabled")
        || match &**element.name() {
            "option" => is_in_disabled_group(element),
            "optgroup" => false,
            _ => is_in_disabled_fieldset(element),
        }
}

fn is_in_disabled_group(option: CssElement<'_>) -> bool {
    let mut around = option.ancestors().take_while(|ancestor| !ancestor.is("select"));
    around
        .find(|ancestor| ancestor.is("optgroup"))
        .is_some_and(|group| group.has_attribute("disabled"))
}

/// Tells whether a disabled `fieldset` contains the element, outside its first `legend`.
fn is_in_disabled_fieldset(element: CssElement<'_>) -> bool {
    let mut child = element;
    element.ancestors().any(|ancestor| {
        let below = std::mem::replace(&mut child, ancestor);
        ancestor.is("fieldset")
            && ancestor.has_attribute("disabled")
            && !(below.is("legend") && is_first_legend(below))
    })
}

fn is_first_legend(legend: CssElement<'_>) -> bool {
    use selectors::Element;
    let mut before =
        std::iter::successors(legend.prev_sibling_element(), Element::prev_sibling_element);
    !before.any(|sibling| sibling.is("legend"))
}

pub(super) fn may_be_required(element: CssElement<'_>) -> bool {
    element.is_one_of(&["input", "select", "textarea"])
}

pub(super) fn is_required(element: CssElement<'_>) -> bool {
    may_be_required(element)
        && InputType::of(element).is_none_or(InputType::can_be_required)
        && element.has_attribute("required")
}

pub(super) fn is_read_write(element: CssElement<'_>) -> bool {
    match InputType::of(element) {
        Some(input) if !input.can_be_read_only() => false,
        None if !element.is("textarea") => is_editable(element),
        _ => !element.has_attribute("readonly") && !is_disabled(element),
    }
}

/// Tells whether `contenteditable` lets users write into the element.
fn is_editable(element: CssElement<'_>) -> bool {
    let said = |element: CssElement<'_>| {
        let value = element.attribute("contenteditable")?.to_ascii_lowercase();
        match value.as_str() {
            "" | "true" | "plaintext-only" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    };
    let mut around = element.and_ancestors().filter(|ancestor| ancestor.is_html());
    element.is_html() && around.find_map(said).unwrap_or(false)
}

pub(super) fn shows_placeholder(element: CssElement<'_>) -> bool {
    let can = match InputType::of(element) {
        Some(input) => input.is_text() || input == InputType::Number,
        None => element.is("textarea"),
    };
    can && element.has_attribute("placeholder") && value(element).is_empty()
}

pub(super) fn is_checked(element: CssElement<'_>) -> bool {
    match InputType::of(element) {
        Some(InputType::Checkbox) => element.has_attribute("checked"),
        Some(InputType::Radio) => Controls::of(element).chosen.contains(&element.id),
        Some(_) => false,
        None => element.is("option") && Controls::of(element).chosen.contains(&element.id),
    }
}

pub(super) fn is_default(element: CssElement<'_>) -> bool {
    match InputType::of(element) {
        Some(InputType::Checkbox | InputType::Radio) => element.has_attribute("checked"),
        _ if element.is("option") => element.has_attribute("selected"),
        _ => is_submit(element) && Controls::of(element).default_buttons.contains(&element.id),
    }
}

/// Tells whether the element would submit its form.
fn is_submit(element: CssElement<'_>) -> bool {
    match InputType::of(element) {
        Some(input) => matches!(input, InputType::Submit | InputType::Image),
        None => {
            element.is("button")
                && !element.attribute("type").is_some_and(|kind| {
                    kind.eq_ignore_ascii_case("button") || kind.eq_ignore_ascii_case("reset")
                })
        }
    }
}

pub(super) fn is_indeterminate(element: CssElement<'_>) -> bool {
    match InputType::of(element) {
        Some(InputType::Radio) => {
            let controls = Controls::of(element);
            match controls.group(element) {
                Some(group) => !controls.decided.contains(&group),
                None => !element.has_attribute("checked"),
            }
        }
        Some(_) => false,
        None => element.is("progress") && !element.has_attribute("value"),
    }
}

/// Facts that follow from all controls of a page together.
#[derive(Debug, Default)]
pub(super) struct Controls<'a> {
    /// The forms that have an id, by the id. The first with an id has it.
    forms: HashMap<&'a str, NodeId>,
    /// The radio buttons and options that are on.
    chosen: HashSet<NodeId>,
    /// The groups of radio buttons in which one is on.
    decided: HashSet<Group<'a>>,
    default_buttons: HashSet<NodeId>,
}

/// The form and the name of a group of radio buttons, of which one may be on.
type Group<'a> = (Option<NodeId>, &'a str);

impl<'a> Controls<'a> {
    /// Returns the controls of the page, which one pass finds when they are first needed.
    fn of(element: CssElement<'a>) -> &'a Controls<'a> {
        element.reading.controls.get_or_init(|| Controls::find(element.reading))
    }

    fn find(reading: &'a Reading<'a>) -> Controls<'a> {
        let mut controls = Controls::default();
        let all = || {
            let ids = reading.document.elements().take_while(|_| reading.visits.take());
            ids.map(|id| CssElement::new(reading, id))
        };
        for form in all().filter(|element| element.is("form")) {
            if let Some(id) = form.attribute("id") {
                controls.forms.entry(id).or_insert(form.id);
            }
        }
        let mut radios = HashMap::new();
        let mut forms_with_a_button = HashSet::new();
        for element in all().filter(|element| element.is_html()) {
            if element.is("select") {
                controls.choose_options(element);
            } else if element.is("option") {
                let is_free = !element.ancestors().any(|ancestor| ancestor.is("select"));
                if is_free && element.has_attribute("selected") {
                    controls.chosen.insert(element.id);
                }
            } else if is_submit(element) {
                let form = controls.form(element);
                if form.is_some_and(|form| forms_with_a_button.insert(form)) {
                    controls.default_buttons.insert(element.id);
                }
            } else if InputType::of(element) == Some(InputType::Radio)
                && element.has_attribute("checked")
            {
                match controls.group(element) {
                    // The last one that is checked turns the others off.
                    Some(group) => _ = radios.insert(group, element.id),
                    None => _ = controls.chosen.insert(element.id),
                }
            }
        }
        controls.chosen.extend(radios.values());
        controls.decided.extend(radios.into_keys());
        controls
    }

    fn form(&self, control: CssElement<'a>) -> Option<NodeId> {
        match control.attribute("form") {
            Some(id) => self.forms.get(id).copied(),
            None => control.ancestors().find(|ancestor| ancestor.is("form")).map(|form| form.id),
        }
    }

    fn group(&self, radio: CssElement<'a>) -> Option<Group<'a>> {
        let name = radio.attribute("name").filter(|name| !name.is_empty())?;
        Some((self.form(radio), name))
    }

    /// Chooses the options of a list: all that are selected where many may be; otherwise the last
    /// of them, or the first that can be chosen where the list is folded.
    fn choose_options(&mut self, select: CssElement<'a>) {
        let document: &Document = select.document();
        let options = || {
            let below =
                document.descendants(select.id).take_while(|_| select.reading.visits.take());
            below.map(|id| CssElement { id, ..select }).filter(|below| below.is("option"))
        };
        let selected = options().filter(|option| option.has_attribute("selected"));
        if select.has_attribute("multiple") {
            self.chosen.extend(selected.map(|option| option.id));
            return;
        }
        let size = select.attribute("size").and_then(|size| size.trim_ascii().parse::<u32>().ok());
        let first = || {
            let is_folded = size.unwrap_or(0) <= 1;
            is_folded.then(|| options().find(|&option| !is_disabled(option))).flatten()
        };
        self.chosen.extend(selected.last().or_else(first).map(|option| option.id));
    }
}
