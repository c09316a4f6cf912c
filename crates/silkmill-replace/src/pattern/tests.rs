//! What is found, and what it becomes.

use super::*;

fn spans(old: &str, syntax: Syntax, text: &str) -> Vec<(usize, usize)> {
    let pattern = Pattern::new(old.into(), Vec::new(), syntax).unwrap();
    let mut spans = Vec::new();
    pattern
        .for_each_match(&mut pattern.cache(), text.as_bytes(), |found| {
            spans.push((found.span.start, found.span.end));
            true
        })
        .unwrap();
    spans
}

fn error(old: &str, new: &str) -> String {
    Pattern::new(old.into(), new.into(), Syntax::REGEX).unwrap_err().to_string()
}

fn replaced(pairs: &[(&str, &str)], syntax: Syntax, text: &str) -> String {
    let pattern = Pattern::of_texts(pairs, syntax);
    let (mut out, mut copied) = (Vec::new(), 0);
    pattern
        .for_each_match(&mut pattern.cache(), text.as_bytes(), |found| {
            out.extend_from_slice(&text.as_bytes()[copied..found.span.start]);
            found.write(&mut out);
            copied = found.span.end;
            true
        })
        .unwrap();
    out.extend_from_slice(&text.as_bytes()[copied..]);
    String::from_utf8(out).unwrap()
}

#[test]
fn pairs_are_swapped_in_one_pass() {
    let swap = [("left", "right"), ("right", "left"), ("righteous", "just")];

    assert_eq!(replaced(&swap, Syntax::default(), "left righteous right"), "right just left");
    let swap = [(r"(\w)=(\w)", "$2=$1"), (r"\d+", "#"), (r"1\w*", "one")];
    assert_eq!(replaced(&swap, Syntax::REGEX, "a=b 12 1x =3"), "b=a # one =#");
}

#[test]
fn of_regexes_at_one_place_the_longest_counts_and_then_the_first() {
    assert_eq!(replaced(&[("x*", "E"), ("b", "B")], Syntax::REGEX, "xb"), "EB");
    assert_eq!(replaced(&[(r"\w+", "1"), ("[a-z]+", "2")], Syntax::REGEX, "ab a1"), "1 1");
    assert_eq!(replaced(&[("a", "1"), ("^", "> ")], Syntax::REGEX, "a\nb\n"), "1\n> b\n");
}

#[test]
fn styles_of_names_are_kept_and_unknown_ones_become_what_was_typed() {
    let pairs = [("old_name", "new_name"), ("colour", "color")];
    let text = "old_name OldName OLD_NAME old-name oLdNaMe Colour COLOUR coLour";

    let exact = Syntax { preserve_case: true, ..Syntax::default() };
    let want = "new_name NewName NEW_NAME new-name oLdNaMe Color COLOR coLour";
    assert_eq!(replaced(&pairs, exact, text), want);
    let any = Syntax { case: Case::Insensitive, ..exact };
    let want = "new_name NewName NEW_NAME new-name oLdNaMe Color COLOR coLour";
    assert_eq!(replaced(&pairs, any, text), want);
    let words = Syntax { word: true, ..exact };
    assert_eq!(replaced(&pairs, words, "OldName OldNames old-name"), "NewName OldNames new-name");
}

#[test]
fn a_literal_has_no_special_characters() {
    assert_eq!(spans("a.c$", Syntax::default(), "abc$ a.c$"), [(5, 9)]);
}

#[test]
fn ignoring_case_knows_unicode_and_leaves_invalid_bytes_exact() {
    let syntax = Syntax { case: Case::Insensitive, ..Syntax::default() };
    assert_eq!(spans("é.", syntax, "É. éx"), [(0, 3)]);

    let pattern = Pattern::new(b"a\xFF".to_vec(), Vec::new(), syntax).unwrap();
    let mut found = 0;
    pattern
        .for_each_match(&mut pattern.cache(), b"A\xFF a\xFE", |_| {
            found += 1;
            true
        })
        .unwrap();
    assert_eq!(found, 1);
}

#[test]
fn smart_case_looks_at_letters_and_not_at_classes() {
    let smart = Syntax { case: Case::Smart, ..Syntax::default() };
    let smart_regex = Syntax { case: Case::Smart, ..Syntax::REGEX };

    assert_eq!(spans("foo", smart, "Foo foo").len(), 2);
    assert_eq!(spans("Foo", smart, "Foo foo").len(), 1);
    assert_eq!(spans(r"fo\wX?", smart_regex, "Foo foo").len(), 1);
    assert_eq!(spans(r"fo\w\W?", smart_regex, "Foo foo").len(), 2);
    assert_eq!(spans(r"[F]oo", smart_regex, "Foo foo").len(), 1);
}

#[test]
fn whole_words_bind_every_alternative_and_allow_symbols() {
    let word = Syntax { word: true, ..Syntax::default() };
    let word_regex = Syntax { word: true, ..Syntax::REGEX };

    assert_eq!(spans("foo", word, "foo foobar xfoo foo"), [(0, 3), (16, 19)]);
    assert_eq!(spans("--flag", word, "a --flag --flags"), [(2, 8)]);
    assert_eq!(spans("a|b", word_regex, "a ab b"), [(0, 1), (5, 6)]);
}

#[test]
fn anchors_match_at_every_line_whatever_ends_it() {
    assert_eq!(spans("^b$", Syntax::REGEX, "a\r\nb\r\nb\nb"), [(3, 4), (6, 7), (8, 9)]);
    assert_eq!(spans(r"\s+$", Syntax::REGEX, "a \t\r\nb\n \n"), [(1, 3), (7, 8)]);
}

#[test]
fn a_match_leaves_its_line_only_when_it_may() {
    let multiline = Syntax { multiline: true, ..Syntax::REGEX };

    assert_eq!(spans(r"a[^x]*", Syntax::REGEX, "a1\r\nb\na"), [(0, 2), (6, 7)]);
    assert_eq!(spans(r"a(?s).*", Syntax::REGEX, "a1\r\nb"), [(0, 2)]);
    assert_eq!(spans(r"a[^x]*", multiline, "a1\r\nb\na"), [(0, 7)]);
    assert_eq!(spans(r"a.*", multiline, "a1\r\nb"), [(0, 2)]);
    assert!(error(r"a\nb", "").contains("-U"));
}

#[test]
fn an_empty_match_after_the_last_line_end_is_on_no_line() {
    let multiline = Syntax { multiline: true, ..Syntax::REGEX };

    assert_eq!(spans("^", Syntax::REGEX, "a\nb\n"), [(0, 0), (2, 2)]);
    assert_eq!(spans("$", Syntax::REGEX, "a\r\nb"), [(1, 1), (4, 4)]);
    assert_eq!(spans("x*", Syntax::REGEX, "a\r\n"), [(0, 0), (1, 1)]);
    assert_eq!(spans("^$", Syntax::REGEX, ""), Vec::new());
    for text in ["a\nb\n", "a\r\nb", "\n", "", "a\r\n\r\n"] {
        for regex in ["^", "$", "^$", "x*", "^|$"] {
            assert_eq!(
                spans(regex, multiline, text),
                spans(regex, Syntax::REGEX, text),
                "{regex} {text:?}"
            );
        }
    }
    assert_eq!(spans(r"\z", multiline, "a\nb\n"), [(4, 4)]);
    assert_eq!(spans(r"\A", multiline, ""), [(0, 0)]);
}

#[test]
fn an_empty_match_never_splits_a_character() {
    assert_eq!(spans("x*", Syntax::REGEX, "éx"), [(0, 0), (2, 3)]);
}

#[test]
fn a_bad_regex_says_why_and_points_at_the_place() {
    assert_eq!(
        error("foo(bar", ""),
        "OLD is not a valid regex: unclosed group\n    foo(bar\n       ^"
    );
    assert!(error(r"\w{999}{999}", "").contains("too large"));
}

#[test]
fn an_empty_text_to_look_for_is_an_error() {
    assert!(Pattern::new(Vec::new(), b"x".to_vec(), Syntax::default()).is_err());
}
