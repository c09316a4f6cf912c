//! Which files `silkmill replace` takes: exclusions, ignore files, version control, and no PATH.

use tempfile::TempDir;

use crate::sandbox::{read, replace, shell, stderr, tree, write};

const EXCLUDED: [&str; 4] = ["vendor/v", "vendor/in/v", "src/gen/v", "src/node_modules/v"];

fn sources() -> TempDir {
    let files = EXCLUDED.map(|name| (name, &b"old"[..]));
    tree(&[&files[..], &[("src/a", b"old"), ("b", b"old")]].concat())
}

/// Returns which of the excluded files changed.
fn changed(root: &TempDir) -> Vec<&'static str> {
    EXCLUDED.into_iter().filter(|name| read(root, name) != "old").collect()
}

#[test]
fn no_excluded_file_changes_however_it_is_written() {
    let claims: &[(&str, &[&str])] = &[
        ("-g '!src/gen/**' old new src", &["src/node_modules/v"]),
        ("-g '!src/gen/**' old new ./src", &["src/node_modules/v"]),
        ("-g '!src/gen/**' old new src/", &["src/node_modules/v"]),
        ("-g '!./src/gen/**' old new \"$PWD/src\"", &["src/node_modules/v"]),
        ("-g '!gen' -g '!node_modules/' old new src", &[]),
        ("-g '!gen/**' -g '!node_modules/' old new src b", &[]),
        ("-g '!vendor' old new src vendor", &["src/gen/v", "src/node_modules/v"]),
        ("-g '!vendor/' old new b vendor/v vendor/in", &[]),
        ("-g '!./vendor/**' old new b vendor", &[]),
        ("-g '!vendor/**' old new b \"$PWD/vendor/v\" ./vendor/in/v", &[]),
        ("-g '!vendor/in' old new b vendor/in/v", &[]),
        ("-g \"!$PWD/vendor/**\" old new b vendor", &[]),
        ("-g \"!$PWD/vendor/\" -g '!src/' old new", &[]),
        ("-g '!vendor/**' old new b src/../vendor/v", &[]),
        ("-g '!vendor/**' old new b link", &[]),
        ("-g '!v' old new", &[]),
        ("--pairs p.tsv -g '!vendor/**' b vendor", &[]),
        ("-n -g '!vendor/**' old new vendor b", &[]),
        ("-g '!node_modules/' -g '!gen/' -g '!vendor/' old new", &[]),
    ];
    for (words, want) in claims {
        let root = sources();
        let line = format!(
            "printf 'old\\tnew\\n' > p.tsv; ln -s vendor/v link; \"$0\" replace {words} </dev/null"
        );
        let output = shell(&root, &line);
        assert_eq!(output.status.code(), Some(0), "{words}: {}", stderr(&output));
        assert_eq!(&changed(&root), want, "{words}");
        assert!(!stderr(&output).contains("excluded nothing"), "{words}: {}", stderr(&output));
    }
    for glob in ["!vendor/**", "!vendor", "!vendor/", "!./vendor/**", "!/vendor/"] {
        for before in ["", "./", "$PWD/", "src/../"] {
            let root = sources();
            let line = format!(
                "printf \"{before}vendor/v\\n{before}vendor/in\\nb\\n\" | \
                 \"$0\" replace --files-from - -g '{glob}' old new"
            );
            let output = shell(&root, &line);
            assert_eq!(output.status.code(), Some(0), "{glob} {before}: {}", stderr(&output));
            assert!(changed(&root).is_empty(), "{glob} {before}");
        }
    }
}

#[test]
fn an_exclusion_that_excluded_nothing_is_reported() {
    let root = sources();
    let message = |glob: &str| format!("silkmill: the glob \"{glob}\" excluded nothing");

    let words = ["-n", "-g", "!Vendor", "-g", "!vendor", "-g", "!none/", "old", "new"];
    let said = stderr(&replace(&root, &words));
    assert!(said.contains(&message("!Vendor")) && said.contains(&message("!none/")), "{said}");
    assert!(!said.contains(&message("!vendor")), "{said}");

    let output = replace(&root, &["-q", "-g", "!none", "old", "new", "b"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn an_include_knows_the_path_as_it_was_typed() {
    let root = sources();

    let line = "printf 'src/a\\nb\\n' | \"$0\" replace --files-from - -g 'src/*' old new";
    assert_eq!(shell(&root, line).status.code(), Some(0));

    assert_eq!((read(&root, "src/a"), read(&root, "b")), ("new".into(), "old".into()));
}

#[test]
fn ignore_files_count_without_a_repository() {
    let root = tree(&[
        (".gitignore", b"*.min.js\n/build/\n"),
        ("a.min.js", b"old"),
        ("build/a", b"old"),
        ("sub/b.min.js", b"old"),
        ("sub/c.js", b"old"),
    ]);

    assert_eq!(replace(&root, &["old", "new"]).status.code(), Some(0));
    let texts = ["a.min.js", "build/a", "sub/b.min.js", "sub/c.js"].map(|name| read(&root, name));
    assert_eq!(texts, ["old", "old", "old", "new"]);

    assert_eq!(replace(&root, &["--no-ignore", "old", "new", "sub"]).status.code(), Some(0));
    assert_eq!(read(&root, "sub/b.min.js"), "new");
}

#[test]
fn what_version_control_keeps_never_changes() {
    let kept = [
        ".git/config",
        ".hg/hgrc",
        ".svn/entries",
        ".jj/a",
        ".bzr/a",
        "_darcs/a",
        "CVS/Root",
        "sub/.hg/a",
        "mirror.git/HEAD",
        "mirror.git/config",
        "mirror.git/objects/a",
        "mirror.git/refs/a",
        "linked/.git",
    ];
    let files: Vec<_> = kept.iter().map(|name| (*name, &b"old"[..])).collect();
    let root = tree(&files);

    for words in [
        &["--hidden", "--no-ignore", "old", "new"][..],
        &["--hidden", "--no-ignore", "old", "new", "sub", "linked"],
        &["--hidden", "old", "new", ".git", ".hg", "mirror.git", "./mirror.git/"],
        &["-n", "--hidden", "--no-ignore", "old", "new"],
    ] {
        assert_ne!(replace(&root, words).status.code(), Some(0), "{words:?}");
        assert!(kept.iter().all(|name| read(&root, name) == "old"), "{words:?}");
    }
    let output = replace(&root, &["old", "new", ".git"]);
    assert_eq!(output.status.code(), Some(2));
    let want = "silkmill: failed to use \".git\": it holds the files of a repository\n";
    assert!(stderr(&output).starts_with(want), "{}", stderr(&output));
}

#[test]
fn a_pipe_or_a_file_as_stdin_needs_a_path() {
    let root = tree(&[("a", b"old"), ("p.tsv", b"old\tnew\n"), ("list", b"")]);
    for line in [
        "echo old | \"$0\" replace old new",
        "\"$0\" replace old new <p.tsv",
        "\"$0\" replace -n old new <p.tsv",
        "echo old | \"$0\" replace --pairs p.tsv",
    ] {
        let output = shell(&root, line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        let want = "name \".\" for the tree or \"-\" for stdin\n";
        assert!(stderr(&output).ends_with(want), "{line}: {}", stderr(&output));
        assert_eq!(read(&root, "a"), "old", "{line}");
    }
    for line in [
        "echo old | \"$0\" replace old new .",
        "echo old | \"$0\" replace old new a",
        "\"$0\" replace old new </dev/null",
        "\"$0\" replace new old <&-",
        "printf 'old\\tnew\\n' >q.tsv; echo | \"$0\" replace --pairs q.tsv a",
    ] {
        write(root.path(), &[("a", b"old")]);
        assert_eq!(shell(&root, line).status.code(), Some(0), "{line}");
    }
    let line = "echo | \"$0\" replace new old --files-from list";
    assert_eq!(shell(&root, line).status.code(), Some(1));
    let output = shell(&root, "echo old | \"$0\" replace old new -");
    assert_eq!(output.stdout, b"new\n");
}
