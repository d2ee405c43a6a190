//! What becomes of a file that is damaged as a whole: it is set aside as it is, and what can be read of it goes into a
//! new one, row by row. The chains then tell which runs are whole.
//!
//! A crash in the middle of this starts it over; `.part` is a new file that is not complete yet, `.new` one that is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use niia_spec::name::{RunId, Slug};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};

use super::chain::ROOT;
use super::commit::put_tip;
use super::load::Tip;
use super::record::Damage;
use super::wal::{self, PAGE_BYTES};
use super::{JournalError, file};

/// A table, and the columns by which its rows are known.
struct Table {
    name: &'static str,
    order: &'static str,
    back: &'static str,
    columns: usize,
}

const JOURNAL: Table = Table { name: "journal", order: "run, seq", back: "run DESC, seq DESC", columns: 8 };
const TIPS: Table = Table { name: "tips", order: "run", back: "run DESC", columns: 4 };
const LETTERS: Table =
    Table { name: "letters", order: "run, number", back: "run DESC, number DESC", columns: 11 };

const SHELF: Table = Table { name: "shelf", order: "room, name", back: "room DESC, name DESC", columns: 4 };

/// Ends what a crash interrupted: a complete new file takes its place, an incomplete one goes.
pub fn resume(path: &Path) -> io::Result<()> {
    remove(&file::beside(path, ".part"))?;
    let new = file::beside(path, ".new");
    if new.exists() {
        // The old log would be read into the new file.
        remove(&file::beside(path, "-wal"))?;
        remove(&file::beside(path, "-shm"))?;
        fs::rename(&new, path)?;
        remove(&file::beside(path, "-check"))?;
        sync_folder(path)?;
    }
    Ok(())
}

/// Says what is wrong with the file as far as that can be seen before it is read.
pub fn look(path: &Path) -> Result<Option<String>, JournalError> {
    let failed = |source| JournalError::SetAside { path: path.to_owned(), source };
    if let Some(damage) = wal::read(&file::beside(path, "-wal")).map_err(failed)?.and_then(|log| log.damage())
    {
        return Ok(Some(damage));
    }
    let asked = file::beside(path, "-check");
    if !asked.exists() {
        return Ok(None);
    }
    let checked = file::open_existing(path)
        .and_then(|db| db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)));
    match checked {
        Ok(answer) if answer == "ok" => remove(&asked).map(|()| None).map_err(failed),
        Ok(answer) => Ok(Some(answer)),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Sets the file aside and puts a new one in its place, with all that could be read.
pub fn salvage(path: &Path, reason: String) -> Result<Damage, JournalError> {
    let failed = |source| JournalError::SetAside { path: path.to_owned(), source };
    let set_aside = set_aside(path).map_err(failed)?;
    let work = set_aside.join("work.db");
    let rows_kept = rebuild(path, &work).map_err(failed)?;
    remove(&work).map_err(failed)?;
    remove(&file::beside(&work, "-journal")).map_err(failed)?;
    resume(path).map_err(failed)?;
    tracing::error!(reason, set_aside = %set_aside.display(), rows_kept, "the journal was damaged");
    Ok(Damage { reason, set_aside, rows_kept })
}

/// Copies the files as they are into a folder of their own.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().as_millisecond();
    let folder = file::beside(path, &format!(".damaged-{now}"));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    for suffix in ["", "-wal"] {
        let from = file::beside(path, suffix);
        if let Some(name) = from.file_name()
            && from.exists()
        {
            let to = folder.join(name);
            fs::copy(&from, &to)?;
            File::open(&to)?.sync_all()?;
        }
    }
    sync_folder(&folder.join("x"))?;
    sync_folder(&folder)?;
    Ok(folder)
}

/// Builds the new file from a copy of the old one.
fn rebuild(path: &Path, work: &Path) -> io::Result<u64> {
    let part = file::beside(path, ".part");
    let sql = io::Error::other;
    remove(&part)?;
    let new = file::create_anew(&part).map_err(sql)?;
    fs::copy(path, work)?;
    let copy = File::options().read(true).write(true).open(work)?;
    if let Some(log) = wal::read(&file::beside(path, "-wal"))? {
        log.copy_into(&copy)?;
    }
    give_a_head(&copy, &part)?;
    drop(copy);
    // A file of which nothing at all can be read has no rows; it lies aside all the same.
    let rows = match Connection::open(work) {
        Ok(old) => copy_rows(&old, &new).map_err(sql)?,
        Err(_) => 0,
    };
    new.close().map_err(|(_, error)| sql(error))?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, file::beside(path, ".new"))?;
    sync_folder(path)?;
    Ok(rows)
}

/// The first page says where the tables are, which is the same in every journal of this version: a new one's is taken,
/// with the old one's size.
fn give_a_head(copy: &File, new: &Path) -> io::Result<()> {
    let mut head = vec![0; PAGE_BYTES];
    File::open(new)?.read_exact_at(&mut head, 0)?;
    let pages = copy.metadata()?.len().div_ceil(PAGE_BYTES as u64);
    copy.set_len(pages * PAGE_BYTES as u64)?;
    head[28..32].copy_from_slice(&(pages as u32).to_be_bytes());
    // The size counts only where these two agree.
    let (change, _) = head.split_at(28);
    let change: [u8; 4] = [change[24], change[25], change[26], change[27]];
    head[92..96].copy_from_slice(&change);
    copy.write_all_at(&head, 0)
}

/// Copies what can be read, from both ends of each table and of each run: what lies behind a bad page is reached from the
/// other side.
fn copy_rows(old: &Connection, new: &Connection) -> rusqlite::Result<u64> {
    let transaction = new.unchecked_transaction()?;
    let mut lost = Vec::new();
    for table in [&JOURNAL, &TIPS, &LETTERS, &SHELF] {
        if !copy_table(old, new, table, None)? {
            lost.push(table);
        }
    }
    for run in runs(new)? {
        for table in lost.iter().filter(|table| [JOURNAL.name, LETTERS.name].contains(&table.name)) {
            copy_table(old, new, table, Some(&run))?;
        }
        if lost.iter().all(|table| [TIPS.name, SHELF.name].contains(&table.name)) {
            mend_tip(new, &run)?;
        }
    }
    let count = "SELECT (SELECT count(*) FROM journal) + (SELECT count(*) FROM tips) + (SELECT count(*) FROM letters)";
    let rows = transaction.query_row(count, [], |row| row.get::<_, i64>(0))?;
    transaction.commit()?;
    Ok(rows.max(0) as u64)
}

/// True where the whole table could be read from its beginning to its end.
fn copy_table(
    old: &Connection,
    new: &Connection,
    table: &Table,
    run: Option<&RunId>,
) -> rusqlite::Result<bool> {
    let Table { name, order, back, columns } = table;
    let which = if run.is_some() { "WHERE run = ?1" } else { "" };
    let places = (1..=*columns).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let mut insert = new.prepare_cached(&format!("INSERT OR IGNORE INTO {name} VALUES ({places})"))?;
    for order in [order, back] {
        let select = format!("SELECT * FROM {name} {which} ORDER BY {order}");
        if copy_until_it_ends(old, &select, run, &mut insert, *columns).is_ok() {
            return Ok(order == &table.order);
        }
    }
    Ok(false)
}

fn copy_until_it_ends(
    old: &Connection,
    select: &str,
    run: Option<&RunId>,
    insert: &mut Statement,
    columns: usize,
) -> rusqlite::Result<()> {
    let mut select = old.prepare(select)?;
    let mut rows = select.query(params_from_iter(run.map(RunId::as_str)))?;
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|n| row.get::<_, Value>(n)).collect::<rusqlite::Result<Vec<_>>>();
        if let Err(error) = values.and_then(|values| insert.execute(params_from_iter(values))) {
            // Nothing that was written by a journal looks so; its chain will show the gap.
            tracing::warn!(%error, "a damaged row was left out");
        }
    }
    Ok(())
}

fn runs(db: &Connection) -> rusqlite::Result<BTreeSet<RunId>> {
    let mut names = db.prepare("SELECT run FROM tips UNION SELECT run FROM journal")?;
    let names = names.query_map([], |row| Ok(row.get::<_, String>(0).unwrap_or_default()))?;
    names.filter_map(|name| name.map(|name| Slug::new(&name).ok()).transpose()).collect()
}

/// Where all rows of all runs were there to be read, a lost tip is what the last row says.
fn mend_tip(db: &Connection, run: &RunId) -> rusqlite::Result<()> {
    let known: bool =
        db.query_row("SELECT EXISTS (SELECT 1 FROM tips WHERE run = ?1)", [run.as_str()], |row| row.get(0))?;
    if known {
        return Ok(());
    }
    let sql = "SELECT seq, hash, (SELECT max(number) FROM letters WHERE run = ?1) FROM journal WHERE run = ?1
        ORDER BY seq DESC LIMIT 1";
    let tip = db.query_row(sql, [run.as_str()], |row| {
        let natural = |value: Option<i64>| value.unwrap_or_default().max(0) as u64;
        let hash = row.get::<_, Vec<u8>>(1).ok().and_then(|hash| hash.try_into().ok()).unwrap_or(ROOT);
        Ok(Tip { rows: natural(row.get(0)?) + 1, hash, over: false, letters: natural(row.get(2)?) })
    })?;
    put_tip(db, run, &tip)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes names in the folder of this file durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
