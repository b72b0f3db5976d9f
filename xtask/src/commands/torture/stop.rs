//! Ctrl-C and SIGTERM, which the program obeys in good order.

use anyhow::ensure;

use super::round::Round;
use super::settings::Settings;

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::random(&mut round.random);
    let expected = round.undisturbed(&settings)?;
    for _ in 0..round.random.between(1, 4) {
        let name = *round.random.pick(&["INT", "TERM"]);
        let how = round.signalled(name);
        let arguments = round.next(&settings, None);
        let ended = round.run_on(&how, &arguments)?;
        let stopped = ended.error.contains("stopped at step");
        round.counts.kills += u64::from(stopped || ended.signal.is_some());
        // Before the program listens, the signal ends it. Later, it may say that there is nothing to go on from.
        let nothing_there = ended.code == Some(1) && round.mark == 0;
        ensure!(ended.code != Some(1) || nothing_there, "SIG{name} made the program fail: {}", ended.about());
    }
    round.finish(&settings, None)?;
    round.note(format!("{} stops in {} runs", round.counts.kills, round.counts.runs));
    expected.check(&round.run_dir())
}
