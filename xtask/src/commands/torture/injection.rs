//! What strace does to a system call of the program.

use std::path::Path;
use std::process::{Command, Stdio};

use super::random::Random;
use super::trace::Calls;

/// System calls at which a run is ended, stopped, or fails.
pub(super) const CALLS: [&str; 18] = [
    "openat",
    "read",
    "write",
    "fsync",
    "fdatasync",
    "close",
    "rename",
    "renameat2",
    "mkdir",
    "rmdir",
    "unlink",
    "unlinkat",
    "symlink",
    "ftruncate",
    "flock",
    "statx",
    "getdents64",
    "readlink",
];

/// Calls that change what is on disk: half of the disturbances meet these.
const CHANGES: [&str; 9] = ["write", "fsync", "rename", "renameat2", "mkdir", "rmdir", "unlink", "unlinkat", "symlink"];

/// Whether strace is there and may do its work; the reason where not.
pub(super) fn find_strace() -> Result<(), String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=getppid:signal=CONT:when=1", "true"]);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("strace cannot watch programs here ({status})")),
        Err(_) => Err("strace is not installed (on Debian and Ubuntu: apt install strace)".to_owned()),
    }
}

/// A call to disturb: its name, and the how manieth of a thread.
pub(super) fn choose(random: &mut Random, calls: &Calls) -> (&'static str, u64) {
    let among: &[&'static str] = if random.one_in(2) { &CHANGES } else { &CALLS };
    let made: Vec<&'static str> = among.iter().copied().filter(|call| calls.most(call) > 0).collect();
    // A run that goes on makes calls that the one before did not make: some are tried blindly.
    let call = *if made.is_empty() || random.one_in(6) { random.pick(among) } else { random.pick(&made) };
    (call, random.between(1, calls.most(call).max(4)))
}

/// The words before a program's name that make strace do `what` at one call, and write down in `record` where it did.
pub(super) fn words(call: &str, what: &str, when: &str, record: &Path) -> Vec<String> {
    let inject = format!("inject={call}:{what}:when={when}");
    strace(record, call, &["-s", "0", "-e", &inject])
}

/// The words before a program's name that make strace write down how often each of [`CALLS`] is made.
pub(super) fn counting(record: &Path) -> Vec<String> {
    strace(record, &CALLS.join(","), &["-s", "0"])
}

/// The words before a program's name that make strace write down every call that changes the disk.
pub(super) fn recording(record: &Path) -> Vec<String> {
    // Names of files behind numbers (-y), all text in hexadecimal (-xx), and nothing cut off.
    strace(record, &super::trace::RECORDED.join(","), &["-y", "-xx", "-s", "16777216"])
}

fn strace(record: &Path, calls: &str, more: &[&str]) -> Vec<String> {
    let (trace, record) = (format!("trace={calls}"), record.to_string_lossy());
    let words = ["strace", "-f", "-qq", "-o", &record, "-e", "signal=none", "-e", &trace];
    words.iter().chain(more).map(|word| (*word).to_owned()).collect()
}
