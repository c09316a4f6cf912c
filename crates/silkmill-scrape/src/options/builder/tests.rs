//! Tests of what options are refused.

use super::*;

#[test]
fn a_header_is_a_name_and_a_value() {
    let options = Options::builder().header("X-One:  1:2 ").build().unwrap();

    assert_eq!(options.headers, [("X-One".to_owned(), "1:2".to_owned())]);
}

#[test]
fn a_header_that_is_none_is_refused_and_named() {
    for line in ["", "name", "na me: x", "X: a\nb", ": x"] {
        let error = Options::builder().header(line).build().unwrap_err();
        assert!(error.to_string().contains(&format!("{line:?}")), "{error}");
    }
}

#[test]
fn the_headers_of_the_connection_are_not_the_users() {
    for line in ["Content-Length: 5", "transfer-encoding: chunked", "Connection: close"] {
        assert!(Options::builder().header(line).build().is_err(), "{line}");
    }
}

#[test]
fn no_folder_is_made_for_options_that_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("bodies");

    let options = Options::builder().save(&folder);
    assert!(options.clone().header("no header").build().is_err());
    assert!(!folder.exists());
    assert!(options.build().is_ok() && folder.is_dir());
}
