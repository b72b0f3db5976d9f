//! Two processes on one run, started at the same instant.

use anyhow::{bail, ensure};

use super::launch::{Ended, Outside, Started};
use super::look;
use super::round::{How, RUN, Round};
use super::settings::{Settings, resume};

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::long(&mut round.random);
    let expected = round.undisturbed(&settings)?;
    pair(round, &settings.start(RUN))?;
    expected.check(&round.run_dir())?;
    // A run that was killed on its way, resumed by two.
    std::fs::remove_dir_all(round.run_dir())?;
    let step = settings.every * round.random.between(1, 4);
    let wanted = round.run_dir().join(look::checkpoint(step));
    let how = How { signal: Some("KILL"), ..How::from(Outside::KillWhen(wanted)) };
    round.run_on(&how, &settings.start(RUN))?;
    round.counts.kills += 1;
    pair(round, &resume(RUN, None))?;
    expected.check(&round.run_dir())
}

/// A process that has ended.
struct End {
    id: u32,
    ended: Ended,
    /// Whether the other one was still at work.
    first: bool,
}

/// Two processes with the same arguments: one does all the work, the other says why it does none.
fn pair(round: &mut Round, arguments: &[String]) -> anyhow::Result<()> {
    let how = How::undisturbed();
    let one = round.launch(&how, arguments)?;
    let other = round.launch(&how, arguments)?;
    round.counts.pairs += 1;
    let ends = both(one, other)?;
    for end in &ends {
        end.ended.is_allowed(None)?;
    }
    let [a, b] = ends;
    let (winner, loser) = match (a.ended.code, b.ended.code) {
        (Some(0), Some(1)) => (a, b),
        (Some(1), Some(0)) => (b, a),
        // The second one came when the first had done everything, or both worked on the run.
        (Some(0), Some(0)) => {
            let done = [&a, &b].into_iter().filter(|end| end.ended.error.contains("has done all of its")).count();
            ensure!(done == 1, "both processes worked on one run:\n{}\n{}", a.ended.about(), b.ended.about());
            round.note("the second came too late".to_owned());
            return Ok(());
        }
        _ => bail!("both processes failed:\n{}\n{}", a.ended.about(), b.ended.about()),
    };
    let says_who = ["held by", "another process"].iter().any(|text| loser.ended.error.contains(text))
        || loser.ended.error.contains(&winner.id.to_string());
    if loser.first {
        let (id, about) = (winner.id, loser.ended.about());
        ensure!(says_who, "a process ended without saying that process {id} holds the run: {about}");
    }
    round.note(if says_who { "one was sent away" } else { "the second came too late" }.to_owned());
    Ok(())
}

/// Waits for the ends of two processes.
fn both(mut one: Started, mut other: Started) -> anyhow::Result<[End; 2]> {
    loop {
        let (status, other_status) = (one.has_ended()?, other.has_ended()?);
        let (first, other_first) = (other_status.is_none(), status.is_none());
        if status.is_none() && other_status.is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
            continue;
        }
        let ended = one_end(one, first)?;
        return Ok([ended, one_end(other, other_first)?]);
    }
}

fn one_end(started: Started, first: bool) -> anyhow::Result<End> {
    Ok(End { id: started.id(), ended: started.end(&Outside::Nothing)?, first })
}
