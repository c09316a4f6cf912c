//! More files and names than a run holds in memory.

use std::fs;

use silkmill::CancelToken;
use silkmill_replace::{Answer, HardLinks, Notice, Renames, UndoOptions, review, undo};

use crate::tree::{Tree, report_while};

/// Long names, so that those of 6,000 files are too much for memory.
fn name(number: usize, word: &str) -> String {
    format!("{word}{}/{word}-{number:060}", number / 1000)
}

#[test]
fn names_that_are_too_many_for_memory_change_with_their_texts_and_come_back() {
    const COUNT: usize = 6_000;
    let tree = Tree::new(&[]);
    let text = |number: usize, word: &str| match number.is_multiple_of(50) {
        true => word.to_owned(),
        false => String::new(),
    };
    for number in 0..COUNT {
        let path = tree.path(&format!("tree/{}", name(number, "oldname")));
        if number.is_multiple_of(1000) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, text(number, "oldname")).unwrap();
    }
    let is_all = |word: &str| {
        (0..COUNT).all(|number| {
            let path = tree.path(&format!("tree/{}", name(number, word)));
            fs::read_to_string(path).is_ok_and(|found| found == text(number, word))
        })
    };
    let state = tree.path("state");
    let options = tree.options("oldname", "newname").renames(Renames::Also).undo(true).sync(false);

    let report = report_while(options.state_directory(&state), &CancelToken::new(), |_| {});

    assert!(is_all("newname"));
    assert_eq!(report.summary().renamed, COUNT as u64 + 6);
    assert_eq!(report.summary().files_changed, COUNT as u64 / 50);
    let options =
        UndoOptions::builder(tree.path("tree")).state_directory(&state).sync(false).build();
    let fails = &mut |notice: &Notice| panic!("{notice}");
    let undone = undo(&options, None, &CancelToken::new(), fails).unwrap();
    assert!(is_all("oldname"));
    assert_eq!((undone.files, undone.run.files), (COUNT as u64 + 6, COUNT as u64 + 6));
    let mut paths = 0;
    undone.for_each_path(&mut |path| paths += u64::from(path.exists())).unwrap();
    assert_eq!(paths, COUNT as u64 + 6);
}

#[test]
fn what_a_review_accepts_at_once_may_be_too_much_for_memory() {
    const COUNT: usize = 4200;
    let names: Vec<String> = (0..COUNT).map(|number| format!("f{number:04}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "old old")).collect();
    let tree = Tree::new(&files);
    let options =
        tree.options("old", "new").hard_links(HardLinks::Keep).sync(false).build().unwrap();
    let mut asked = 0;
    let ask = &mut |_: &silkmill_replace::Proposal<'_>| {
        asked += 1;
        match asked {
            1 => Answer::No,
            2 | 3 => Answer::Yes,
            _ => Answer::All,
        }
    };

    let summary = review(&options, &CancelToken::new(), &mut |_| {}, ask).unwrap();

    assert_eq!((asked, summary.files_changed), (4, COUNT as u64));
    assert_eq!(summary.replacements, 2 * COUNT as u64 - 1);
    assert_eq!(tree.read("f0000"), "old new");
    assert!(names[1..].iter().all(|name| tree.read(name) == "new new"));
    assert!(tree.is_clean());
}
