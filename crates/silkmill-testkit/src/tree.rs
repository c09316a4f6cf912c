//! Plants small files whose contents are known, for tests and the demo.

use std::fs;
use std::io;
use std::path::Path;

/// The most files in one folder.
const FOLDER_FILES: usize = 100;

/// The files that were planted. Every file has the same shape, and the word in it a known number of
/// times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The number of files.
    pub files: usize,
    /// The occurrences of [`Tree::WORD`] in all files together.
    pub occurrences: usize,
    /// The bytes of all files together.
    pub bytes: usize,
}

impl Tree {
    /// The word that every third line of every file holds once.
    pub const WORD: &str = "old_name";
    /// The lines of the shortest file; the others have up to twice as many.
    const LINES_MIN: usize = 20;

    /// Writes `files` text files under `root`, in folders of a hundred. The same number gives the
    /// same bytes everywhere.
    ///
    /// # Errors
    /// When a folder or a file cannot be written.
    pub fn plant(root: &Path, files: usize) -> io::Result<Tree> {
        let mut tree = Tree { files, occurrences: 0, bytes: 0 };
        for index in 0..files {
            let folder = root.join(format!("part-{:03}", index / FOLDER_FILES));
            if index % FOLDER_FILES == 0 {
                fs::create_dir_all(&folder)?;
            }
            let text = text(index);
            fs::write(folder.join(format!("file-{index:05}.txt")), &text)?;
            tree.occurrences += text.matches(Tree::WORD).count();
            tree.bytes += text.len();
        }
        Ok(tree)
    }
}

/// Returns the text of one file: lines that differ, every third with the word.
fn text(index: usize) -> String {
    let lines = Tree::LINES_MIN + index % Tree::LINES_MIN;
    (0..lines)
        .map(|line| match line % 3 {
            0 => format!("let {} = read({index}, {line});\n", Tree::WORD),
            1 => format!("// Line {line} of file {index} has nothing to change.\n"),
            _ => format!("check(other_name, {});\n", index * line),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_what_the_texts_hold() {
        let counted: usize = (0..7).map(|index| text(index).matches(Tree::WORD).count()).sum();

        // The files have 20 to 26 lines, a third of them, rounded up, with the word.
        assert_eq!(counted, 7 + 7 + 8 + 8 + 8 + 9 + 9);
    }
}
