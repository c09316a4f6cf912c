//! What is written is read again, and nothing else is acted on.

use super::*;
use crate::original::FileId;
use std::path::Path;

fn identity(seed: u64) -> Identity {
    let time = (seed.cast_signed() - 5, 7);
    let file = FileId { dev: 1, ino: seed };
    Identity { file, size: seed * 3, modified: time, changed: time }
}

fn journal() -> Journal {
    let entry = |name: &[u8], method| Entry {
        directory: 1,
        name: name.to_vec(),
        staging_dir: 0,
        number: 12,
        method,
        old: identity(3),
        new: identity(4),
        old_text: None,
        new_text: Some(Checksum(7)),
    };
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
        directories: vec!["/tree".into(), Path::new(OsStr::from_bytes(b"/tree/\xFF")).into()],
        entries: vec![entry(b"a\xFF\n", Method::Exchange), entry(b"..b", Method::CopyBack)],
        renames: vec![Rename {
            directory: 0,
            from: b"a\n".to_vec(),
            to: b"\xFF".to_vec(),
            inodes: [7, 8],
        }],
    }
}

fn written(journal: &Journal, phases: &[Phase]) -> Vec<u8> {
    let records = [journal.header.record(), journal.records()].concat();
    let mut bytes = [&head()[..], &records].concat();
    for phase in phases {
        bytes[phase.offset()..][..SLOT_LEN].copy_from_slice(&phase.slot(&records));
    }
    bytes
}

#[test]
fn what_is_written_is_read_again() {
    let journal = journal();
    let phases = |phases: &[Phase]| parse(&written(&journal, phases)).unwrap();

    assert_eq!(phases(&[]), None);
    assert_eq!(phases(&[Phase::Committed]), Some((journal.clone(), Phase::Committed)));
    let rolling_back = phases(&[Phase::Committed, Phase::RollingBack]).unwrap();
    assert_eq!(rolling_back.1, Phase::RollingBack);
    assert_eq!(phases(&[Phase::Committed, Phase::Done]).unwrap().1, Phase::Done);
    assert_eq!(header(&written(&journal, &[])), Some(journal.header.clone()));
}

#[test]
fn a_journal_that_was_never_committed_asks_for_nothing_however_torn() {
    let whole = written(&journal(), &[]);
    for len in 0..whole.len() {
        assert_eq!(parse(&whole[..len]), Ok(None), "{len}");
    }
    assert_eq!(parse(&[]), Ok(None));
    assert_eq!(parse(&[0; 4096]), Ok(None));
}

#[test]
fn a_committed_journal_with_any_bit_wrong_is_never_acted_on() {
    let whole = written(&journal(), &[Phase::Committed, Phase::Done]);
    let read = parse(&whole).unwrap();
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut wrong = whole.clone();
            wrong[place] ^= 1 << bit;
            // The bytes between the slots mean nothing.
            let got = parse(&wrong);
            assert!(got.is_err() || got.as_ref() == Ok(&read), "{place} {bit}: {got:?}");
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
    bytes[16] = 3;

    let error = parse(&bytes).unwrap_err();

    assert!(error.to_string().contains("version 3"), "{error}");
    assert_eq!(parse(b"#!/bin/sh\n"), Err(JournalError::NotOurs));
}

#[test]
fn a_journal_of_the_version_without_checksums_is_read() {
    let mut journal = journal();
    let mut records = journal.header.record();
    for path in &journal.staging_dirs {
        put_record(&mut records, Kind::StagingDir as u8, |out| put_path(out, path));
    }
    for path in &journal.directories {
        put_record(&mut records, Kind::Directory as u8, |out| put_path(out, path));
    }
    for entry in &mut journal.entries {
        (entry.old_text, entry.new_text) = (None, None);
        let mut payload = Vec::new();
        entry.put(&mut payload);
        // The last byte says that there is no checksum.
        payload.pop();
        put_record(&mut records, Kind::Entry as u8, |out| out.extend_from_slice(&payload));
    }
    for rename in &journal.renames {
        put_record(&mut records, Kind::Rename as u8, |out| rename.put(out));
    }
    put_record(&mut records, Kind::End as u8, |out| {
        put_u64(out, journal.entries.len() as u64);
        put_u64(out, journal.replacements);
    });
    let mut bytes = [&head()[..], &records].concat();
    bytes[16] = 1;
    let slot = Phase::Committed.slot(&records);
    bytes[Phase::Committed.offset()..][..SLOT_LEN].copy_from_slice(&slot);

    assert_eq!(parse(&bytes), Ok(Some((journal, Phase::Committed))));
}

#[test]
fn a_name_that_leaves_its_directory_is_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", b"a/"] {
        let mut journal = journal();
        journal.entries[0].name = name.to_vec();
        let parsed = parse(&written(&journal, &[Phase::Committed]));
        assert_eq!(parsed, Err(JournalError::Damaged), "{name:?}");
    }
    let mut renamed = journal();
    renamed.renames[0].to = b"../a".to_vec();
    assert_eq!(parse(&written(&renamed, &[Phase::Committed])), Err(JournalError::Damaged));
    let mut relative = journal();
    relative.directories[0] = "tree".into();
    assert_eq!(parse(&written(&relative, &[Phase::Committed])), Err(JournalError::Damaged));
}
