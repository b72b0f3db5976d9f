//! System calls that fail, and files that may not grow.

use std::fs;

use anyhow::ensure;

use super::injection;
use super::round::{How, Round};
use super::settings::Settings;

/// What the system says: the disk is full, broken, or not yours.
const ERRORS: [&str; 3] = ["ENOSPC", "EIO", "EACCES"];

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::random(&mut round.random);
    let expected = round.undisturbed(&settings)?;
    for _ in 0..round.random.between(1, 3) {
        let arguments = round.next(&settings, None);
        if round.has_strace() && !round.random.one_in(6) {
            failing_call(round, &arguments)?;
        } else {
            small_files(round, &arguments)?;
        }
    }
    round.finish(&settings, None)?;
    round.note(format!("{} errors in {} runs", round.counts.errors, round.counts.runs));
    expected.check(&round.run_dir())
}

/// A call fails once, some times, or from then on.
fn failing_call(round: &mut Round, arguments: &[String]) -> anyhow::Result<()> {
    // To close a file never fails for these reasons, and Rust's library counts on that for directories.
    let (call, number) = loop {
        let (call, number) = injection::choose(&mut round.random, &round.calls);
        if call != "close" {
            break (call, number);
        }
    };
    let error = *round.random.pick(&ERRORS);
    let last = number + round.random.between(1, 5);
    let when = round.random.pick(&[number.to_string(), format!("{number}..{last}"), format!("{number}+")]).clone();
    let record = round.record();
    let how = How::within(injection::words(call, &format!("error={error}"), &when, &record));
    let ended = round.run_on(&how, arguments)?;
    let failed = fs::read_to_string(&record)?.matches("(INJECTED)").count() as u64;
    round.counts.errors += failed;
    // A message that cannot be written is not there.
    let says_why = call == "write" || ended.code != Some(1) || ended.error.contains("error:");
    ensure!(says_why, "{error} of {call} ended the program without a message: {}", ended.about());
    Ok(())
}

/// No file may be larger than a few blocks: the system sends a signal that the program must not die of.
fn small_files(round: &mut Round, arguments: &[String]) -> anyhow::Result<()> {
    let blocks = round.random.between(0, 30);
    let script = format!("ulimit -f {blocks}; exec \"$@\"");
    let how = How::within(["sh", "-c", &script, "sh"].map(str::to_owned).into());
    // What the program prints goes to files too.
    let ended = round.run_on(&how, arguments)?;
    round.counts.errors += u64::from(ended.code == Some(1));
    Ok(())
}
