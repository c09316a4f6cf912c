//! Templates, and their errors.

use super::*;
use regex_automata::meta::Regex;

fn replaced(pattern: &str, template: &str, text: &str) -> Result<String, String> {
    let regex = Regex::new(pattern).unwrap();
    let names: Vec<_> = regex.group_info().pattern_names(Default::default()).collect();
    let replacement = Replacement::parse(template.as_bytes(), &names, false);
    let replacement = replacement.map_err(|error| error.to_string())?;
    let mut groups = regex.create_captures();
    regex.captures(text, &mut groups);
    let mut out = Vec::new();
    replacement.write(text.as_bytes(), Some(Groups::Linear(&groups)), b"\n", &mut out);
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn groups_are_read_by_number_and_by_name() {
    let claims = [
        ("$2-$1", "b-a"),
        ("${2}x${first}", "bxa"),
        ("$first", "a"),
        ("$0!", "ab!"),
        ("$$1 $ %$", "$1 $ %$"),
        ("[$3]", "[]"),
    ];
    for (template, want) in claims {
        assert_eq!(replaced("(?P<first>a)(b)(c)?", template, "ab").as_deref(), Ok(want));
    }
}

#[test]
fn escapes_are_read_to_their_end_and_no_further() {
    let claims = [
        (r"\n\t\r\\", "\n\t\r\\"),
        (r"\x41BC", "ABC"),
        (r"\u{42}YZ", "BYZ"),
        (r"\u{1F600}.", "😀."),
        (r"\$1", "$1"),
    ];
    for (template, want) in claims {
        assert_eq!(replaced("(a)", template, "a").as_deref(), Ok(want), "{template}");
    }
}

#[test]
fn changes_of_case_last_as_long_as_they_say() {
    let claims = [
        (r"\U$1-x\E-x", "ÉTÉ-X-x"),
        (r"\u$1 $1", "Été été"),
        (r"\L\u$1-BIG", "Été-big"),
        (r"\u\L$1-BIG", "Été-big"),
        (r"\U\l$1-x", "éTÉ-X"),
        (r"\u$2$1", "Été"),
        (r"\u\u{DF}-\u\u{FB01}n", "Ss-Fin"),
    ];
    for (template, want) in claims {
        assert_eq!(replaced("(été)(x)?", template, "été").as_deref(), Ok(want), "{template}");
    }
}

#[test]
fn groups_are_read_as_they_were_written() {
    let pattern = Regex::new("(a+)(:)?(é*)(b)?").unwrap();
    let mut found = pattern.create_captures();
    for (text, want) in [
        ("aa:éb", [Some("aa"), Some(":"), Some("é"), Some("b")]),
        ("a", [Some("a"), None, Some(""), None]),
        ("ab", [Some("a"), None, Some(""), Some("b")]),
    ] {
        pattern.captures(text, &mut found);
        let mut out = Vec::new();
        Replacement::groups().write(text.as_bytes(), Some(Groups::Linear(&found)), b"\n", &mut out);
        assert_eq!(groups_of(&out), want.map(|group| group.map(str::as_bytes)), "{text}");
    }
    let mut out = Vec::new();
    Replacement::groups().write(b"+1:a", None, b"\n", &mut out);
    assert_eq!(groups_of(&out), []);
}

#[test]
fn an_ambiguous_group_is_an_error_that_says_how_to_write_it() {
    let claims = [
        ("$1foo", "write `${1}foo`"),
        ("$1_", "write `${1}_`"),
        ("$12", "write `${1}2`"),
        ("$2", "OLD has no group `2`"),
        ("${name}", "OLD has no group `name`"),
        ("${1", "without its `}`"),
        (r"\1", "written `$1` here"),
        (r"\d", "unknown escape"),
        (r"\x4", "two hexadecimal digits"),
        (r"\x+1", "two hexadecimal digits"),
        (r"\u{D800}", "a character's number"),
        (r"\u{41", "a character's number"),
        ("\\", "escapes nothing"),
    ];
    for (template, want) in claims {
        let error = replaced("(a)", template, "a").unwrap_err();
        assert!(error.contains(want), "{template}: {error}");
    }
}

#[test]
fn an_error_points_at_its_place() {
    let error = replaced("(a)", "é: $1foo", "a").unwrap_err();

    assert!(error.ends_with("\n    é: $1foo\n       ^"), "{error}");
}
