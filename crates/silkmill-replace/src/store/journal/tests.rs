//! What is written is read again, and nothing else is acted on.

use super::*;
use crate::original::FileId;
use crate::original::{Checksum, Identity};
use crate::store::journal::bytes::{RECORD_HEAD_LEN, put_path, put_record, put_u64};
use crate::store::journal::record::{SLOT_LEN, VERSION_OF_ALL_DIRECTORIES, VERSION_WITHOUT_TEXTS};
use crate::store::journal::writer::Writer;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

fn identity(seed: u64) -> Identity {
    let time = (seed.cast_signed() - 5, 7);
    let file = FileId { dev: 1, ino: seed };
    Identity { file, size: seed * 3, modified: time, changed: time }
}

pub(super) fn entry(directory: &str, name: &[u8], method: Method) -> Entry {
    Entry {
        directory: Path::new(OsStr::from_bytes(directory.as_bytes())).into(),
        name: name.to_vec(),
        staging_dir: 0,
        number: 12,
        method,
        old: identity(3),
        new: identity(4),
        old_text: None,
        new_text: Some(Checksum(7)),
    }
}

fn with_entries(entries: &[Entry]) -> Journal {
    let mut draft = Writer::draft(std::env::temp_dir());
    entries.iter().for_each(|entry| draft.push(entry).unwrap());
    Journal {
        header: RunHeader {
            begun: 12,
            what: "a → b".to_owned(),
            roots: vec!["/tree".into()],
            undoes: Some("20260101-000000-abcd".to_owned()),
            keeps: true,
        },
        replacements: 9,
        staging_dirs: vec!["/state/run/0".into()],
        entries: draft.finish_draft().unwrap(),
        renames: drafted(rename()),
        folder: std::env::temp_dir(),
    }
}

fn rename() -> Rename {
    Rename {
        directory: Path::new("/tree").into(),
        from: b"a\n".to_vec(),
        to: b"\xFF".to_vec(),
        inodes: [7, 8],
    }
}

fn drafted(rename: Rename) -> Renames {
    let mut draft = Writer::draft(std::env::temp_dir());
    draft.push_rename(rename).unwrap();
    draft.finish_names_draft().unwrap()
}

fn journal() -> Journal {
    with_entries(&[
        entry("/tree/\u{e9}", b"a\xFF\n", Method::Exchange),
        entry("/tree", b"..b", Method::CopyBack),
        entry("/tree/\u{e9}", b"c", Method::CopyOver),
    ])
}

fn set(bytes: &mut [u8], phases: &[Phase]) {
    let records = &bytes[HEAD_LEN..];
    let records = Sum { len: records.len() as u64, sum: crc32fast::hash(records) };
    for phase in phases {
        bytes[phase.offset()..][..SLOT_LEN].copy_from_slice(&phase.slot(records));
    }
}

fn written(journal: &Journal, phases: &[Phase]) -> Vec<u8> {
    let mut bytes = bytes_of(journal);
    set(&mut bytes, phases);
    bytes
}

type Parsed = Result<Option<(Journal, Phase)>, JournalError>;

fn parse(bytes: &[u8]) -> Parsed {
    match read(&Source::Bytes(bytes.into()), &std::env::temp_dir()) {
        Ok(read) => Ok(read.map(|(journal, phase, _)| (journal, phase))),
        Err(ReadError::Journal(error)) => Err(error),
        Err(ReadError::Io(error)) => panic!("{error}"),
    }
}

fn is_nothing(parsed: &Parsed) -> bool {
    matches!(parsed, Ok(None))
}

#[test]
fn what_is_written_is_read_again() {
    let journal = journal();
    let phases = |phases: &[Phase]| parse(&written(&journal, phases)).unwrap();

    assert!(phases(&[]).is_none());
    let (again, phase) = phases(&[Phase::Committed]).unwrap();
    assert_eq!((again.listed(), phase), (journal.listed(), Phase::Committed));
    assert_eq!((again.entries.len(), again.entries.held()), (3, 9 + 2 * (9 + 12)));
    let rolling_back = phases(&[Phase::Committed, Phase::RollingBack]).unwrap();
    assert_eq!(rolling_back.1, Phase::RollingBack);
    assert_eq!(phases(&[Phase::Committed, Phase::Done]).unwrap().1, Phase::Done);
    let (phase, header) = read_header(&Source::Bytes(written(&journal, &[]).into())).unwrap();
    assert_eq!((phase, header), (None, Some(journal.header.clone())));
    let end = written(&journal, &[]);
    assert_eq!(held(&end[end.len() - END_LEN..]), Some(journal.entries.held()));
}

#[test]
fn a_reader_needs_to_keep_few_directories_and_finds_all() {
    // Each directory is left and entered again, near and far apart.
    let name = |at: u64| format!("/tree/{}", at * at % 331);
    let entries: Vec<Entry> =
        (0..2000).map(|at| entry(&name(at), b"f", Method::Exchange)).collect();

    let (again, _) =
        parse(&written(&with_entries(&entries), &[Phase::Committed])).unwrap().unwrap();

    let again: Vec<Entry> = again.entries.iter().map(Result::unwrap).collect();
    assert_eq!(again, entries);
}

#[test]
fn a_journal_longer_than_any_buffer_is_the_same_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = Writer::draft(folder.path().to_path_buf());
    let count = 20_000;
    for at in 0..count {
        let name = format!("{at:0>200}");
        draft
            .push(&entry(&format!("/tree/{}", at / 100), name.as_bytes(), Method::Exchange))
            .unwrap();
    }
    let entries = draft.finish_draft().unwrap();

    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the draft has no name");
    for _ in 0..2 {
        let mut at = 0;
        for entry in entries.iter() {
            let name = format!("{at:0>200}");
            let path = format!("/tree/{}/{name}", at / 100);
            assert_eq!(entry.unwrap().target(), Path::new(&path));
            at += 1;
        }
        assert_eq!(at, count);
    }
    let journal = Journal { entries, ..journal() };
    let (again, _) = parse(&written(&journal, &[Phase::Committed])).unwrap().unwrap();
    assert_eq!(again.entries.len(), count);
}

#[test]
fn a_journal_that_was_never_committed_asks_for_nothing_however_torn() {
    let whole = written(&journal(), &[]);
    for len in 0..whole.len() {
        assert!(is_nothing(&parse(&whole[..len])), "{len}");
    }
    assert!(is_nothing(&parse(&[])));
    assert!(is_nothing(&parse(&[0; 4096])));
}

#[test]
fn a_committed_journal_with_any_bit_wrong_is_never_acted_on() {
    let whole = written(&journal(), &[Phase::Committed, Phase::Done]);
    let listed = |parsed: &Parsed| {
        let (journal, phase) = parsed.as_ref().ok()?.as_ref()?;
        Some((journal.listed(), *phase))
    };
    let read = listed(&parse(&whole));
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut wrong = whole.clone();
            wrong[place] ^= 1 << bit;
            // The bytes between the slots mean nothing.
            let got = parse(&wrong);
            assert!(got.is_err() || listed(&got) == read, "{place} {bit}: {got:?}");
            assert!(got.is_err() || place < HEAD_LEN, "{place} {bit}");
        }
    }
    for len in Phase::Committed.offset() + 1..whole.len() {
        assert!(parse(&whole[..len]).is_err(), "{len}");
    }
}

#[test]
fn a_journal_of_another_version_is_refused_by_its_number() {
    let mut bytes = written(&journal(), &[Phase::Committed]);
    bytes[16] = 4;

    let error = parse(&bytes).unwrap_err();

    assert!(error.to_string().contains("version 4"), "{error}");
    assert!(matches!(parse(b"#!/bin/sh\n"), Err(JournalError::NotOurs)));
}

/// In the earlier versions all directories come first, and records refer to any of them.
#[test]
fn journals_of_earlier_versions_are_read() {
    for version in [VERSION_WITHOUT_TEXTS, VERSION_OF_ALL_DIRECTORIES] {
        let journal = journal();
        let mut records = journal.header.record();
        for path in &journal.staging_dirs {
            put_record(&mut records, Kind::StagingDir as u8, |out| put_path(out, path));
        }
        let mut entries: Vec<Entry> = journal.entries.iter().map(Result::unwrap).collect();
        let directories: Vec<Arc<Path>> = (0..100)
            .map(|at| PathBuf::from(format!("/{at}")).into())
            .chain(entries.iter().map(|entry| Arc::clone(&entry.directory)))
            .collect();
        for path in &directories {
            put_record(&mut records, Kind::Directory as u8, |out| put_path(out, path));
        }
        for entry in &mut entries {
            let place = directories.iter().position(|it| *it == entry.directory).unwrap() as u32;
            let mut payload = Vec::new();
            if version == VERSION_WITHOUT_TEXTS {
                (entry.old_text, entry.new_text) = (None, None);
                entry.put(place, &mut payload);
                // The last byte says that there is no checksum.
                payload.pop();
            } else {
                entry.put(place, &mut payload);
            }
            put_record(&mut records, Kind::Entry as u8, |out| out.extend_from_slice(&payload));
        }
        // One directory that was read long before.
        let renamed = Rename { directory: Arc::clone(&directories[0]), ..rename() };
        put_record(&mut records, Kind::Rename as u8, |out| renamed.put(0, out));
        put_record(&mut records, Kind::End as u8, |out| {
            put_u64(out, entries.len() as u64);
            put_u64(out, journal.replacements);
        });
        let mut bytes = [&head()[..], &records].concat();
        bytes[16] = version as u8;
        set(&mut bytes, &[Phase::Committed]);

        let (again, _) = parse(&bytes).unwrap().unwrap();

        let read: Vec<Entry> = again.entries.iter().map(Result::unwrap).collect();
        let renames: Vec<Rename> = again.renames.iter().map(Result::unwrap).collect();
        assert_eq!((read, renames), (entries, vec![renamed]), "{version}");
    }
}

#[test]
fn a_name_that_leaves_its_directory_is_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", b"a/"] {
        let journal = with_entries(&[entry("/tree", name, Method::Exchange)]);
        let mut bytes = Vec::new();
        // What cannot be read cannot be drafted, so the record is written by hand.
        put_record(&mut bytes, Kind::Entry as u8, |out| {
            entry("/tree", name, Method::Exchange).put(0, out);
        });
        let mut directories = Directories::new(true);
        directories.push(Path::new("/tree").into());
        let payload = &bytes[RECORD_HEAD_LEN..];
        assert!(Entry::read(&mut Reader(payload), &directories).is_none(), "{name:?}");
        assert!(journal.entries.iter().next().unwrap().is_err(), "{name:?}");
    }
    // Neither can renames be read that are as bad, so their records are changed in the bytes.
    let mut bytes = with_rename(&rename());
    set(&mut bytes, &[Phase::Committed]);
    assert!(parse(&bytes).is_ok());
    for bad in [
        Rename { to: b"../a".to_vec(), ..rename() },
        Rename { directory: Path::new("tree").into(), ..rename() },
    ] {
        bytes = with_rename(&bad);
        set(&mut bytes, &[Phase::Committed]);
        assert!(matches!(parse(&bytes), Err(JournalError::Damaged)), "{bad:?}");
    }
}

/// Returns a journal with this rename alone.
fn with_rename(rename: &Rename) -> Vec<u8> {
    let mut records = journal().header.record();
    put_record(&mut records, Kind::Directory as u8, |out| put_path(out, &rename.directory));
    put_record(&mut records, Kind::Rename as u8, |out| rename.put(0, out));
    put_record(&mut records, Kind::End as u8, |out| {
        put_u64(out, 0);
        put_u64(out, 9);
        put_u64(out, 0);
    });
    [&head()[..], &records].concat()
}
