//! The tables of a job, a schema of its own in the database: how they are made, and whether they
//! are those of this crawl.
//!
//! `seen` only grows; `queue` loses a row for each page that is done, so that nothing large is
//! updated. `host` is small and hot. There are no foreign keys: to check one would lock the host of
//! every link. `job` has one row, which every return updates last: so an index is a row's place
//! among all rows, without gaps, and a limit of rows is exact. Names and URLs may be longer than
//! what an index takes: their hashes are in the indexes.

use crate::crawl::frontier::fleet::database::{Failure, Session};
use crate::crawl::frontier::fleet::row_table::RowTable;
use crate::crawl::frontier::fleet::texts::quoted;

/// The version of the tables.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE job (
        one boolean PRIMARY KEY CHECK (one), version integer NOT NULL, words text NOT NULL,
        key_low bigint NOT NULL, key_high bigint NOT NULL, rows_max bigint,
        rows bigint NOT NULL DEFAULT 0, errors bigint NOT NULL DEFAULT 0,
        started_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 20);
    CREATE TABLE worker (
        id uuid PRIMARY KEY, name text NOT NULL, returns bigint NOT NULL DEFAULT 0,
        rows bigint NOT NULL DEFAULT 0, errors bigint NOT NULL DEFAULT 0,
        refusals text NOT NULL DEFAULT '{}', started_at timestamptz NOT NULL DEFAULT now(),
        seen_at timestamptz NOT NULL DEFAULT now(), hungry_at timestamptz
    ) WITH (fillfactor = 50);
    CREATE TABLE seed (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, url text NOT NULL);
    CREATE UNIQUE INDEX seed_url ON seed (md5(url));
    CREATE TABLE host (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
        ready_at timestamptz NOT NULL DEFAULT 'infinity',
        rested_at timestamptz NOT NULL DEFAULT '-infinity', token uuid,
        rows bigint NOT NULL DEFAULT 0, delay_ms bigint NOT NULL DEFAULT 0,
        learned_ms bigint NOT NULL DEFAULT 0, latency_ms bigint
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
    CREATE UNIQUE INDEX host_name ON host (md5(name));
    CREATE INDEX host_ready_at ON host (ready_at) WHERE ready_at < 'infinity';
    CREATE TABLE seen (
        host bigint NOT NULL, hash bigint NOT NULL, PRIMARY KEY (host, hash)
    );
    CREATE TABLE queue (
        host bigint NOT NULL, depth integer NOT NULL,
        number bigint GENERATED ALWAYS AS IDENTITY, url text NOT NULL, parent bigint,
        purpose smallint NOT NULL, is_seed boolean NOT NULL, is_public boolean NOT NULL,
        hops integer NOT NULL, PRIMARY KEY (host, depth, number)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02);
";

/// What a job is found to be.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Job(JobRecord),
    /// The schema is there, and not as a job has it; why.
    Foreign(String),
}

/// What a job is from its beginning, and how far it has come.
#[derive(Clone, Debug)]
pub(super) struct JobRecord {
    pub(super) is_new: bool,
    pub(super) words: Vec<(String, String)>,
    pub(super) key: [u64; 2],
    pub(super) rows: u64,
    pub(super) errors: u64,
}

/// What a job is made with.
#[derive(Clone, Debug)]
pub(super) struct NewJob {
    pub(super) schema: String,
    pub(super) words: Vec<(String, String)>,
    pub(super) key: [u64; 2],
    pub(super) rows_max: Option<i64>,
    pub(super) row_table: String,
}

impl NewJob {
    pub(super) fn row_table(table: &RowTable) -> String {
        let columns: Vec<String> = table
            .columns()
            .iter()
            .map(|(name, declared)| format!("{} {declared}", quoted(name)))
            .collect();
        format!("CREATE TABLE rows ({})", columns.join(", "))
    }
}

/// Reads the job, or makes it where there is none.
pub(super) fn open(session: &mut Session, new: &NewJob) -> Result<Found, Failure> {
    if let Some(found) = read(session, new)? {
        return Ok(found);
    }
    match make(session, new) {
        Ok(()) => {}
        // Another process makes the same job at this moment.
        Err(error) if is_made_twice(&error) => {}
        Err(error) => return Err(error),
    }
    let found = read(session, new)?;
    Ok(found.unwrap_or_else(|| Found::Foreign("it was removed at this moment".to_owned())))
}

fn make(session: &mut Session, new: &NewJob) -> Result<(), Failure> {
    session.transaction(|session| {
        let NewJob { schema, row_table, .. } = new;
        session.batch(&format!("CREATE SCHEMA {schema}; {TABLES}; {row_table}"))?;
        let words = serde_json::to_string(&new.words).expect("texts go to memory");
        let [low, high] = new.key.map(u64::cast_signed);
        session.execute(
            "INSERT INTO job (one, version, words, key_low, key_high, rows_max) \
             VALUES (true, $1, $2, $3, $4, $5)",
            &[&VERSION, &words, &low, &high, &new.rows_max],
        )?;
        Ok(Some(()))
    })?;
    Ok(())
}

/// Tells whether a statement failed since another process had made the same before.
fn is_made_twice(error: &Failure) -> bool {
    use postgres::error::SqlState;
    let made = [
        SqlState::DUPLICATE_SCHEMA,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::UNIQUE_VIOLATION,
    ];
    error.code().is_some_and(|code| made.contains(code))
}

/// Reads the job, if the schema is there.
fn read(session: &mut Session, new: &NewJob) -> Result<Option<Found>, Failure> {
    let NewJob { schema, rows_max, .. } = new;
    let tables = session.query_one(
        "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($1 || '.job') IS NOT NULL, \
         EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1))",
        &[&schema],
    )?;
    match (tables.get(0), tables.get(1), tables.get(2)) {
        (false, _, _) => return Ok(None),
        (true, true, _) => {}
        (true, false, false) => {
            let why = "its schema is there without tables: drop it, or take another name";
            return Ok(Some(Found::Foreign(why.to_owned())));
        }
        (true, false, true) => {
            let why = "its schema has tables that are no job of a crawl";
            return Ok(Some(Found::Foreign(why.to_owned())));
        }
    }
    let row = session.query_one(
        "SELECT version, words, key_low, key_high, rows, errors, \
         NOT EXISTS (SELECT FROM seed) FROM job",
        &[],
    )?;
    let version: i32 = row.get(0);
    if version != VERSION {
        let why = format!("it is of version {version}, and this program knows {VERSION}");
        return Ok(Some(Found::Foreign(why)));
    }
    // Of the limits of all processes the largest counts; none is the largest.
    session.execute(
        "UPDATE job SET rows_max = CASE WHEN $1::bigint IS NULL THEN NULL ELSE \
         greatest(rows_max, $1) END WHERE rows_max < $1 OR (rows_max IS NOT NULL AND $1 IS NULL)",
        &[rows_max],
    )?;
    let Ok(words) = serde_json::from_str(row.get(1)) else {
        return Ok(Some(Found::Foreign("its words cannot be read".to_owned())));
    };
    Ok(Some(Found::Job(JobRecord {
        is_new: row.get(6),
        words,
        key: [row.get::<_, i64>(2).cast_unsigned(), row.get::<_, i64>(3).cast_unsigned()],
        rows: row.get::<_, i64>(4).cast_unsigned(),
        errors: row.get::<_, i64>(5).cast_unsigned(),
    })))
}
