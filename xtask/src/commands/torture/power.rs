//! Losses of power: the run goes on from a directory that only has what was synced, and a random part of the rest.

use std::fs;

use super::disk::Disk;
use super::injection;
use super::round::{How, RUN, Round, last_checkpoint};
use super::settings::Settings;
use super::trace::{self, Event};

pub(super) fn run(round: &mut Round) -> anyhow::Result<()> {
    let settings = Settings::random(&mut round.random);
    let mut expected = round.undisturbed(&settings)?;
    cut_off(round, &settings, None)?;
    if round.random.one_in(3) {
        let steps = settings.steps + round.random.between(1, 2 * settings.every);
        expected = round.undisturbed_to(steps)?;
        cut_off(round, &settings, Some(steps))?;
    }
    round.note(format!("{} losses in {} runs", round.counts.losses, round.counts.runs));
    expected.check(&round.run_dir())
}

/// Some runs during which the power fails, and one during which it does not.
fn cut_off(round: &mut Round, settings: &Settings, steps: Option<u64>) -> anyhow::Result<()> {
    for _ in 0..round.random.between(1, 3) {
        let disk = Disk::load(&round.place())?;
        let record = round.record();
        let arguments = round.next(settings, steps);
        // The program does its work to the end: its calls say what was on the way at any time.
        round.run(&How::within(injection::recording(&record)), &arguments)?;
        let events = trace::read(&fs::read_to_string(&record)?, &round.place())?;
        let first = events.iter().position(|event| is_of(event, round)).unwrap_or(0);
        let cut = round.random.between(first as u64, events.len() as u64) as usize;
        let crash = disk.crash(&events, cut, &mut round.random)?;
        crash.write(RUN)?;
        round.counts.losses += 1;
        round.mark = round.mark.max(promised(&events[..cut]));
        let (names, all) = (crash.names, events.len());
        round.did(format!(
            "the power fails after call {cut} of {all}, with names as after call {names}: {}",
            record.display()
        ));
    }
    round.finish(settings, steps).map(drop)
}

/// Whether the event is one of the run's directory.
fn is_of(event: &Event, round: &Round) -> bool {
    let path = match event {
        Event::Open { path, .. } | Event::MakeDir(path) => path,
        _ => return false,
    };
    path.starts_with(round.run_dir())
}

/// The step that the program had said is safe: its line `checkpoint DIR` was written before the cut.
fn promised(events: &[Event]) -> u64 {
    let mut said = Vec::new();
    for event in events {
        if let Event::Write { file: 2, bytes, .. } = event {
            said.extend_from_slice(bytes);
        }
    }
    last_checkpoint(&String::from_utf8_lossy(&said)).unwrap_or(0)
}
