//! SIGKILL, again and again, and the run goes on each time.

use super::round::Round;
use super::settings::Settings;

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::random(&mut round.random);
    let mut expected = round.undisturbed(&settings)?;
    killed(round, &settings, None)?;
    if round.random.one_in(2) {
        let steps = settings.steps + round.random.between(1, 2 * settings.every);
        expected = round.undisturbed_to(steps)?;
        killed(round, &settings, Some(steps))?;
    }
    round.note(format!("{} kills in {} runs", round.counts.kills, round.counts.runs));
    expected.check(&round.run_dir())
}

/// Some runs that are killed, and one that is not.
fn killed(round: &mut Round, settings: &Settings, steps: Option<u64>) -> anyhow::Result<()> {
    for _ in 0..round.random.between(1, 4) {
        let how = round.signalled("KILL");
        let arguments = round.next(settings, steps);
        let ended = round.run_on(&how, &arguments)?;
        round.counts.kills += u64::from(ended.signal.is_some());
    }
    round.finish(settings, steps).map(drop)
}
