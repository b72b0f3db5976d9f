//! The record that strace makes of a program's system calls, read.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// Calls that change what is on disk, or say which file a number stands for, or end what may be lost.
pub(super) const RECORDED: [&str; 40] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "read",
    "readv",
    "lseek",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "sendfile",
    "copy_file_range",
    "fallocate",
    "truncate",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "fsync",
    "fdatasync",
    "sync",
    "syncfs",
    "sync_file_range",
    "splice",
];

/// What a call did. Paths are absolute; a number stands for an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Open {
        file: u64,
        path: PathBuf,
        create: bool,
        truncate: bool,
        append: bool,
    },
    Close(u64),
    Copy {
        from: u64,
        to: u64,
    },
    /// Bytes were read at the file's position.
    Read {
        file: u64,
        length: u64,
    },
    Seek {
        file: u64,
        position: u64,
    },
    Write {
        file: u64,
        bytes: Vec<u8>,
        at: Option<u64>,
    },
    Truncate {
        file: u64,
        length: u64,
    },
    Sync(u64),
    SyncAll,
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
    Remove(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Exchange {
        a: PathBuf,
        b: PathBuf,
    },
    Symlink {
        link: PathBuf,
        target: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
}

/// How often a thread made each call.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(HashMap<(String, String), u64>);

impl Calls {
    /// Counts the calls of a record.
    pub(super) fn of(record: &str) -> Self {
        let mut calls = HashMap::new();
        for line in record.lines() {
            let Some((thread, rest)) = split_thread(line) else { continue };
            if let Some((name, _)) = rest.split_once('(').filter(|_| !rest.starts_with('<')) {
                *calls.entry((thread.to_owned(), name.to_owned())).or_default() += 1;
            }
        }
        Self(calls)
    }

    /// The number of times that the thread made this call that made it most often.
    pub(super) fn most(&self, call: &str) -> u64 {
        self.0.iter().filter(|((_, name), _)| name == call).map(|(_, times)| *times).max().unwrap_or(0)
    }
}

/// Reads a record of a program that ran in `dir`: what its calls did, in order. Calls that failed did nothing.
pub(super) fn read(record: &str, dir: &Path) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut unfinished = HashMap::new();
    for line in record.lines() {
        let Some((thread, rest)) = split_thread(line) else { continue };
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread.to_owned(), begun.to_owned());
            continue;
        }
        let whole = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                let begun = unfinished.remove(thread).with_context(|| format!("strace wrote an end alone: {rest}"))?;
                begun + end
            }
            None => rest.to_owned(),
        };
        events.extend(event(&whole, dir).with_context(|| format!("cannot read a line of strace: {whole:.300}"))?);
    }
    Ok(events)
}

fn split_thread(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    Some((thread, rest.trim_start()))
}

/// What one call did; nothing if it failed, or did nothing of interest.
fn event(line: &str, dir: &Path) -> anyhow::Result<Option<Event>> {
    // Lines about signals and ends have no call.
    let Some((name, rest)) = line.split_once('(').filter(|_| !line.starts_with(['+', '-'])) else { return Ok(None) };
    // A call that was cut short by the program's end has no result.
    let Some((arguments, result)) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(" = ")) else {
        return Ok(None);
    };
    let result = result.split(['<', ' ']).next().unwrap_or_default();
    let Ok(result) = result.parse::<u64>() else { return Ok(None) }; // -1 and ?
    let call = Call { arguments: split(arguments.trim_end().trim_end_matches(')')), dir };
    let event = match name {
        "openat" => call.open(1, result)?,
        "open" => call.open(0, result)?,
        "close" => Event::Close(call.file(0)?),
        "dup" | "dup2" | "dup3" => Event::Copy { from: call.file(0)?, to: result },
        "fcntl" if call.word(1)?.starts_with("F_DUPFD") => Event::Copy { from: call.file(0)?, to: result },
        "fcntl" | "sync_file_range" => return Ok(None),
        "read" | "readv" => Event::Read { file: call.file(0)?, length: result },
        "lseek" => Event::Seek { file: call.file(0)?, position: result },
        "write" | "writev" => Event::Write { file: call.file(0)?, bytes: call.bytes(1, result)?, at: None },
        "pwrite64" => {
            let at = call.word(3)?.parse().context("a position")?;
            Event::Write { file: call.file(0)?, bytes: call.bytes(1, result)?, at: Some(at) }
        }
        "ftruncate" => Event::Truncate { file: call.file(0)?, length: call.word(1)?.parse().context("a length")? },
        "fsync" | "fdatasync" => Event::Sync(call.file(0)?),
        "sync" | "syncfs" => Event::SyncAll,
        "mkdir" => Event::MakeDir(call.path(0)?),
        "mkdirat" => Event::MakeDir(call.path_at(0)?),
        "rmdir" => Event::RemoveDir(call.path(0)?),
        "unlink" => Event::Remove(call.path(0)?),
        "unlinkat" if call.word(2)?.contains("AT_REMOVEDIR") => Event::RemoveDir(call.path_at(0)?),
        "unlinkat" => Event::Remove(call.path_at(0)?),
        "rename" => Event::Rename { from: call.path(0)?, to: call.path(1)? },
        "renameat2" if call.word(4)?.contains("RENAME_EXCHANGE") => {
            Event::Exchange { a: call.path_at(0)?, b: call.path_at(2)? }
        }
        "renameat" | "renameat2" => Event::Rename { from: call.path_at(0)?, to: call.path_at(2)? },
        "symlink" => Event::Symlink { target: text(call.word(0)?)?, link: call.path(1)? },
        "symlinkat" => Event::Symlink { target: text(call.word(0)?)?, link: call.path_at(1)? },
        "link" => Event::Link { from: call.path(0)?, to: call.path(1)? },
        "linkat" => Event::Link { from: call.path_at(0)?, to: call.path_at(2)? },
        other => bail!("the model of a power loss does not know the call {other}"),
    };
    Ok(Some(event))
}

/// A call's arguments.
struct Call<'a> {
    arguments: Vec<&'a str>,
    dir: &'a Path,
}

impl<'a> Call<'a> {
    fn word(&self, index: usize) -> anyhow::Result<&'a str> {
        self.arguments.get(index).copied().with_context(|| format!("there is no argument {index}"))
    }

    /// `3<\x2f\x74>`: an open file.
    fn file(&self, index: usize) -> anyhow::Result<u64> {
        let word = self.word(index)?;
        word.split('<').next().unwrap_or(word).parse().with_context(|| format!("{word} is no open file"))
    }

    /// A path, relative to the current directory.
    fn path(&self, index: usize) -> anyhow::Result<PathBuf> {
        Ok(normal(&self.dir.join(text(self.word(index)?)?)))
    }

    /// A path, relative to the directory that the argument before it names.
    fn path_at(&self, index: usize) -> anyhow::Result<PathBuf> {
        let (dir, path) = (self.word(index)?, text(self.word(index + 1)?)?);
        if path.is_absolute() {
            return Ok(normal(&path));
        }
        let dir = dir.split_once('<').map(|(_, path)| path.trim_end_matches('>'));
        let dir = dir.with_context(|| format!("{path:?} is relative to an unknown directory"))?;
        Ok(normal(&text(&format!("\"{dir}\""))?.join(path)))
    }

    fn open(&self, index: usize, file: u64) -> anyhow::Result<Event> {
        let path = if index == 0 { self.path(0)? } else { self.path_at(index - 1)? };
        let flags = self.word(index + 1)?;
        let has = |flag: &str| flags.split('|').any(|one| one == flag);
        ensure!(!has("O_TMPFILE"), "the model of a power loss does not know files without names");
        let (create, truncate, append) = (has("O_CREAT"), has("O_TRUNC"), has("O_APPEND"));
        Ok(Event::Open { file, path, create, truncate, append })
    }

    /// The first `length` bytes of all texts from the argument `index` on.
    fn bytes(&self, index: usize, length: u64) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for word in &self.arguments[index.min(self.arguments.len())..] {
            // Within quotes there is nothing but \xHH, so every second piece is a text.
            for piece in word.split('"').skip(1).step_by(2) {
                bytes.extend(decode(piece)?);
            }
        }
        ensure!(bytes.len() as u64 >= length, "strace wrote down {} of {length} bytes", bytes.len());
        bytes.truncate(length as usize);
        Ok(bytes)
    }
}

/// Splits arguments at commas that stand in no brackets. In texts there are neither, as all is hexadecimal.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut words) = (0, 0, Vec::new());
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                words.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(arguments[start..].trim());
    words
}

/// A path in quotes.
fn text(word: &str) -> anyhow::Result<PathBuf> {
    let inner = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    let bytes = decode(inner.with_context(|| format!("{word} is no text"))?)?;
    Ok(PathBuf::from(String::from_utf8(bytes).context("a path is no UTF-8")?))
}

fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    for pair in text.split("\\x").skip(1) {
        bytes.push(u8::from_str_radix(pair, 16).with_context(|| format!("\\x{pair} is no byte"))?);
    }
    ensure!(text.is_empty() || text.starts_with("\\x"), "{text:.40} is not in hexadecimal");
    Ok(bytes)
}

/// The path without `.` and `..`. Links on the way are not followed: the program changes nothing through them.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            component => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    fn one(line: &str) -> Option<Event> {
        let events = read(&format!("77 {line}\n"), Path::new("/t")).unwrap();
        assert!(events.len() < 2, "{events:?}");
        events.into_iter().next()
    }

    #[test]
    fn files_are_opened_written_and_synced() {
        let (here, name, whole) = (hex("/t"), hex("r/./x, y)"), hex("/t/r/x, y)"));
        let flags = "O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666";
        assert_eq!(
            one(&format!("openat(AT_FDCWD<{here}>, \"{name}\", {flags}) = 5<{whole}>")),
            Some(Event::Open { file: 5, path: "/t/r/x, y)".into(), create: true, truncate: true, append: false })
        );
        let bytes = hex("a\"b");
        let write = Event::Write { file: 5, bytes: b"a\"b".to_vec(), at: None };
        assert_eq!(one(&format!("write(5<{whole}>, \"{bytes}\", 3) = 3")), Some(write));
        // What was not written is not there.
        let short = Event::Write { file: 5, bytes: b"a".to_vec(), at: None };
        assert_eq!(one(&format!("write(5<{whole}>, \"{bytes}\", 3) = 1")), Some(short));
        let placed = Event::Write { file: 5, bytes: b"a\"b".to_vec(), at: Some(64) };
        assert_eq!(one(&format!("pwrite64(5<{whole}>, \"{bytes}\", 3, 64) = 3")), Some(placed));
        let parts = format!("[{{iov_base=\"{bytes}\", iov_len=3}}, {{iov_base=\"{bytes}\", iov_len=3}}], 2");
        let gathered = Event::Write { file: 5, bytes: b"a\"ba\"b".to_vec(), at: None };
        assert_eq!(one(&format!("writev(5<{whole}>, {parts}) = 6")), Some(gathered));
        assert_eq!(one(&format!("fsync(5<{whole}>) = 0")), Some(Event::Sync(5)));
        assert_eq!(one(&format!("close(5<{whole}>)                     = 0")), Some(Event::Close(5)));
    }

    #[test]
    fn names_are_relative_to_where_they_say() {
        let (a, b, dir) = (hex("r/a"), hex("/q/b"), hex("/t/r"));
        assert_eq!(
            one(&format!("rename(\"{a}\", \"{b}\") = 0")),
            Some(Event::Rename { from: "/t/r/a".into(), to: "/q/b".into() })
        );
        let up = hex("../a");
        assert_eq!(
            one(&format!("renameat2(4<{dir}>, \"{up}\", AT_FDCWD<{}>, \"{a}\", RENAME_EXCHANGE) = 0", hex("/t"))),
            Some(Event::Exchange { a: "/t/a".into(), b: "/t/r/a".into() })
        );
        assert_eq!(
            one(&format!("unlinkat(4<{dir}>, \"{a}\", AT_REMOVEDIR) = 0")),
            Some(Event::RemoveDir("/t/r/r/a".into()))
        );
        assert_eq!(one(&format!("unlinkat(4<{dir}>, \"{a}\", 0) = 0")), Some(Event::Remove("/t/r/r/a".into())));
        assert_eq!(
            one(&format!("symlink(\"{a}\", \"{b}\") = 0")),
            Some(Event::Symlink { link: "/q/b".into(), target: "r/a".into() })
        );
    }

    #[test]
    fn what_failed_or_ended_early_did_nothing() {
        let a = hex("a");
        assert_eq!(one(&format!("unlink(\"{a}\") = -1 ENOENT (No such file or directory)")), None);
        assert_eq!(one(&format!("unlink(\"{a}\") = ?")), None);
        assert_eq!(one("+++ killed by SIGKILL +++"), None);
        assert_eq!(one("--- SIGINT {si_signo=SIGINT, si_code=SI_USER} ---"), None);
        assert_eq!(one(&format!("unlink(\"{a}\" <unfinished ...>")), None);
    }

    #[test]
    fn calls_of_two_threads_are_put_together() {
        let a = hex("a");
        let record = format!(
            "7 mkdir(\"{a}\", 0777 <unfinished ...>\n8 openat(AT_FDCWD<{0}>, \"{a}\" <unfinished ...>\n\
             7 <... mkdir resumed>)              = 0\n8 <... openat resumed>, O_RDONLY) = 3<{0}>\n",
            hex("/t")
        );
        let opened = Event::Open { file: 3, path: "/t/a".into(), create: false, truncate: false, append: false };
        assert_eq!(read(&record, Path::new("/t")).unwrap(), [Event::MakeDir("/t/a".into()), opened]);
        let calls = Calls::of(&record);
        assert_eq!((calls.most("mkdir"), calls.most("openat"), calls.most("rename")), (1, 1, 0));
    }

    #[test]
    fn a_call_that_the_model_does_not_know_is_said() {
        let error = read("7 copy_file_range(3<\\x61>, NULL, 4<\\x61>, NULL, 9, 0) = 9\n", Path::new("/t")).unwrap_err();
        assert!(format!("{error:#}").contains("copy_file_range"), "{error:#}");
    }
}
