//! The images that a `srcset` attribute names, by the HTML standard's "parse a srcset attribute".
//! Only the URLs are wanted; a candidate whose descriptors are wrong is none.

/// Returns the URLs of the image candidates, in order.
pub(crate) fn urls_of(srcset: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut rest = srcset;
    loop {
        rest = rest.trim_start_matches(|char| is_space(char) || char == ',');
        if rest.is_empty() {
            return urls;
        }
        let (url, after) = rest.split_at(rest.find(is_space).unwrap_or(rest.len()));
        let trimmed = url.trim_end_matches(',');
        if trimmed.len() < url.len() {
            // The commas end the candidate, which has no descriptors.
            urls.push(trimmed);
            rest = after;
            continue;
        }
        let (descriptors, after) = descriptors_of(after);
        if are_right(&descriptors) {
            urls.push(url);
        }
        rest = after;
    }
}

/// Splits the descriptors of a candidate, up to a comma that is not in parentheses, from what
/// follows it.
fn descriptors_of(text: &str) -> (Vec<&str>, &str) {
    let mut descriptors = Vec::new();
    let (mut start, mut depth) = (None, 0u32);
    for (at, char) in text.char_indices() {
        match char {
            // Parentheses do not nest here.
            ')' if depth > 0 => depth = 0,
            _ if depth > 0 => {}
            '(' => {
                depth = 1;
                start.get_or_insert(at);
            }
            ',' => {
                descriptors.extend(start.map(|start| &text[start..at]));
                return (descriptors, &text[at + 1..]);
            }
            _ if is_space(char) => descriptors.extend(start.take().map(|start| &text[start..at])),
            _ => drop(start.get_or_insert(at)),
        }
    }
    descriptors.extend(start.map(|start: usize| &text[start..]));
    (descriptors, "")
}

/// Tells whether descriptors are: at most one of width or density, and a height only with a width.
fn are_right(descriptors: &[&str]) -> bool {
    let (mut width, mut density, mut height) = (false, false, false);
    for descriptor in descriptors {
        let Some((at, unit)) = descriptor.char_indices().last() else { return false };
        let number = &descriptor[..at];
        let is_whole = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_positive = is_whole && number.bytes().any(|byte| byte != b'0');
        let taken = match unit {
            'w' if is_positive && !width && !density => &mut width,
            'x' if is_density(number) && !width && !density && !height => &mut density,
            'h' if is_positive && !height && !density => &mut height,
            _ => return false,
        };
        *taken = true;
    }
    !height || width
}

/// Tells whether a text is a valid floating-point number of the standard that is not negative.
fn is_density(number: &str) -> bool {
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (&number[..at], Some(&number[at + 1..])),
        None => (number, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_signed = |text: &str| digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    let unsigned = mantissa.strip_prefix('-');
    let is_number = match unsigned.unwrap_or(mantissa).split_once('.') {
        Some((whole, part)) => (whole.is_empty() || digits(whole)) && digits(part),
        None => digits(unsigned.unwrap_or(mantissa)),
    };
    let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    is_number && exponent.is_none_or(is_signed) && (unsigned.is_none() || is_zero)
}

fn is_space(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn candidates_are_those_of_the_standard() {
        for (srcset, expected) in [
            ("", &[][..]),
            (",", &[]),
            ("a.png", &["a.png"]),
            (" a.png 1x, b.png 2x ", &["a.png", "b.png"]),
            ("a.png 100w, b.png 200w", &["a.png", "b.png"]),
            ("a.png, b.png 2x", &["a.png", "b.png"]),
            ("a.png,b.png 2x", &["a.png,b.png"]),
            ("data:,a ( , data:,b 1x, ), data:,c", &["data:,c"]),
            ("a,1,2,.png 1x,b.png 2x", &["a,1,2,.png", "b.png"]),
            ("a.png 1x 2x, b.png 1w 2x, c.png 3x", &["c.png"]),
            ("a.png 1q, b.png -1x, c.png 0w, d.png 1h, e.png 0x", &["e.png"]),
            ("a.png 1w 1h, b.png 1h 1w, c.png 1h 1h", &["a.png", "b.png"]),
            (
                "a.png 1.5x, b.png 1e3x, c.png .5x, d.png 1.x, e.png +1x, f.png -0x",
                &["a.png", "b.png", "c.png", "f.png"],
            ),
            ("a.png\n\t1x\x0c,b.png", &["a.png", "b.png"]),
            ("a.png (,) 1x, b.png", &["b.png"]),
            ("a.png x, b.png", &["b.png"]),
            (",,a.png,,b.png", &["a.png,,b.png"]),
            ("a.png,, b.png", &["a.png", "b.png"]),
        ] {
            assert_eq!(urls_of(srcset), expected, "{srcset:?}");
        }
    }

    /// The standard's algorithm, step by step.
    fn by_the_standard(input: &str) -> Vec<String> {
        #[derive(PartialEq)]
        enum State {
            InDescriptor,
            InParens,
            AfterDescriptor,
        }
        let input: Vec<char> = input.chars().collect();
        let (mut position, mut candidates) = (0, Vec::new());
        let collect = |position: &mut usize, wanted: &dyn Fn(char) -> bool| {
            let start = *position;
            while *position < input.len() && wanted(input[*position]) {
                *position += 1;
            }
            input[start..*position].iter().collect::<String>()
        };
        loop {
            collect(&mut position, &|char| is_space(char) || char == ',');
            if position >= input.len() {
                return candidates;
            }
            let mut url = collect(&mut position, &|char| !is_space(char));
            let mut descriptors: Vec<String> = Vec::new();
            if url.ends_with(',') {
                while url.ends_with(',') {
                    url.pop();
                }
            } else {
                collect(&mut position, &is_space);
                let (mut current, mut state) = (String::new(), State::InDescriptor);
                loop {
                    let char = input.get(position).copied();
                    match (&state, char) {
                        (State::InDescriptor, Some(char)) if is_space(char) => {
                            if !current.is_empty() {
                                descriptors.push(std::mem::take(&mut current));
                                state = State::AfterDescriptor;
                            }
                        }
                        (State::InDescriptor, Some(',')) => {
                            position += 1;
                            break;
                        }
                        (State::InDescriptor, Some('(')) => {
                            current.push('(');
                            state = State::InParens;
                        }
                        (State::InParens, Some(')')) => {
                            current.push(')');
                            state = State::InDescriptor;
                        }
                        (State::InDescriptor | State::InParens, Some(char)) => current.push(char),
                        (State::AfterDescriptor, Some(char)) if is_space(char) => {}
                        (State::AfterDescriptor, Some(_)) => {
                            state = State::InDescriptor;
                            position -= 1;
                        }
                        (_, None) => break,
                    }
                    position += 1;
                }
                if !current.is_empty() {
                    descriptors.push(current);
                }
            }
            let (mut error, mut width, mut density, mut height) = (false, None, None, None);
            for descriptor in &descriptors {
                let unit = descriptor.chars().last().unwrap();
                let number = &descriptor[..descriptor.len() - unit.len_utf8()];
                let is_whole = number.chars().all(|char| char.is_ascii_digit());
                let whole = number.parse::<u32>().ok().filter(|_| is_whole);
                match (unit, whole, number.parse::<f64>().ok().filter(|_| is_valid_float(number))) {
                    ('w', Some(whole), _) => {
                        error |= width.is_some() || density.is_some() || whole == 0;
                        width = Some(whole);
                    }
                    ('x', _, Some(float)) => {
                        let is_first = width.is_none() && density.is_none() && height.is_none();
                        error |= !is_first || float < 0.0;
                        density = Some(float);
                    }
                    ('h', Some(whole), _) => {
                        error |= height.is_some() || density.is_some() || whole == 0;
                        height = Some(whole);
                    }
                    _ => error = true,
                }
            }
            error |= height.is_some() && width.is_none();
            if !error {
                candidates.push(url);
            }
        }
    }

    /// Tells whether a text is the standard's "valid floating-point number".
    fn is_valid_float(text: &str) -> bool {
        let pattern = "-?([0-9]+|[0-9]*\\.[0-9]+)([eE][+-]?[0-9]+)?";
        let regex = regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        regex.is_match(text)
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[a,( )xw1.é\t-]{0,60}") {
            urls_of(&text);
        }

        #[test]
        fn the_candidates_are_those_of_the_standards_algorithm(
            text in "([a-b,( )]{0,4}[\t\n ]{0,2}(-?[0-9]{0,2}(\\.[0-9]{0,1})?(e[+-]?[0-2])?[xwhq](\\([,a ]{0,2}\\)?)?[, ]{0,2}){0,3}){0,4}"
        ) {
            prop_assert_eq!(urls_of(&text), by_the_standard(&text));
        }
    }
}
