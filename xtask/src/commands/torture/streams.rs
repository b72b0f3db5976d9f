//! Standard output and standard error that take nothing.

use std::path::Path;

use anyhow::ensure;

use super::launch::Outside;
use super::look;
use super::round::{How, RUN, Round};
use super::settings::{Settings, resume};

/// Redirections, and whether the last line on standard output, the run's name, cannot be written.
const REDIRECTIONS: [(&str, bool); 9] = [
    (">&-", false),
    ("2>&-", false),
    (">&- 2>&-", false),
    ("<&- >&- 2>&-", false),
    (">/dev/full", true),
    ("2>/dev/full", false),
    (">/dev/full 2>&1", true),
    (">/dev/full 2>&-", true),
    (">&- 2>/dev/full", false),
];

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::random(&mut round.random);
    let expected = round.undisturbed(&settings)?;
    let mut arguments = settings.start(RUN);
    if round.random.one_in(2) {
        // The streams of a run that goes on.
        let wanted = round.run_dir().join(look::checkpoint(settings.every));
        let how = How { signal: Some("KILL"), ..How::from(Outside::KillWhen(wanted)) };
        round.run_on(&how, &arguments)?;
        round.counts.kills += 1;
        arguments = resume(RUN, None);
    }
    let done_before = round.mark == settings.steps;
    let all = if Path::new("/dev/full").exists() { REDIRECTIONS.len() } else { 4 };
    let (how, codes, about) = if round.random.one_in(3) {
        let (error, bytes) = (round.random.one_in(2), round.random.between(0, 300) as usize);
        let codes: &[i32] = if error { &[0] } else { &[0, 1] };
        let of = if error { "standard error" } else { "standard output" };
        (How::from(Outside::Reader { error, bytes }), codes, format!("the reader of {of} left after {bytes} bytes"))
    } else {
        let (redirection, result_lost) = REDIRECTIONS[round.random.between(0, all as u64 - 1) as usize];
        let script = format!("exec \"$@\" {redirection}");
        let codes: &[i32] = if result_lost { &[1] } else { &[0] };
        (How::within(["sh", "-c", &script, "sh"].map(str::to_owned).into()), codes, redirection.to_owned())
    };
    let ended = round.run(&how, &arguments)?;
    round.counts.errors += 1;
    round.note(about.clone());
    ensure!(
        codes.iter().any(|code| ended.code == Some(*code)),
        "with {about}, the exit code is expected to be one of {codes:?}: {}",
        ended.about()
    );
    if !done_before {
        let newest = look::complete(&round.run_dir()).last().copied();
        ensure!(newest == Some(settings.steps), "with {about}, training ended at step {newest:?}: {}", ended.about());
    }
    expected.check(&round.run_dir())
}
