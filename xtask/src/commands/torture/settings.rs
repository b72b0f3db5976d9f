//! The sizes of a round's runs: tiny, and different in every round.

use super::random::Random;

/// What decides a run.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) steps: u64,
    /// Steps from one checkpoint to the next.
    pub(super) every: u64,
    words: Vec<String>,
}

impl Settings {
    pub(super) fn random(random: &mut Random) -> Self {
        let every = random.between(2, 4);
        // Three checkpoints at least: one to damage, one to fall back to, one to come.
        let steps = every * random.between(2, 4) + random.between(1, every);
        Self::new(random, steps, every)
    }

    /// A run that takes so long that two processes meet in it.
    pub(super) fn long(random: &mut Random) -> Self {
        let every = random.between(5, 9);
        let steps = every * random.between(12, 18) + random.between(1, every);
        Self::new(random, steps, every)
    }

    fn new(random: &mut Random, steps: u64, every: u64) -> Self {
        let set = |key: &str, value: u64| ["--set".to_owned(), format!("{key}={value}")];
        let mut words: Vec<String> = ["--preset", "swiss-roll", "--threads", "1"].map(str::to_owned).into();
        words.extend(set("model.hidden", random.between(4, 16)));
        words.extend(set("model.layers", random.between(1, 3)));
        words.extend(set("seed", random.between(0, 1000)));
        words.extend(set("samples.num", 4));
        words.extend(set("samples.steps", 2));
        words.extend(set("training.log_every", random.between(1, 5)));
        // A short warm-up, so that the run reaches the part that depends on its length.
        words.extend(set("optimizer.warmup_steps", random.between(1, 4)));
        words.extend(set("training.keep_checkpoints", *random.pick(&[0, 2, 3])));
        words.extend(set("held_out.every", *random.pick(&[0, 3, every])));
        words.extend(set("held_out.examples", random.between(1, 5)));
        if random.one_in(3) {
            words.extend(["--set", "objective.density=importance"].map(str::to_owned));
        }
        for (option, value) in [
            ("--batch-size", random.between(4, 12)),
            ("--sample-every", if random.one_in(3) { every } else { 0 }),
            ("--steps", steps),
            ("--checkpoint-every", every),
        ] {
            words.extend([option.to_owned(), value.to_string()]);
        }
        Self { steps, every, words }
    }

    /// The arguments that start the run in `out`.
    pub(super) fn start(&self, out: &str) -> Vec<String> {
        let start = ["train".to_owned()].into_iter().chain(self.words.iter().cloned());
        start.chain(["--out".to_owned(), out.to_owned()]).collect()
    }
}

/// The arguments that let the run in `run` go on, to `steps` where it is to have more.
pub(super) fn resume(run: &str, steps: Option<u64>) -> Vec<String> {
    let mut words: Vec<String> = ["train", "--resume", run, "--threads", "1"].map(str::to_owned).into();
    words.extend(steps.iter().flat_map(|steps| ["--steps".to_owned(), steps.to_string()]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_checkpoints_to_lose() {
        for seed in 0..200 {
            let settings = Settings::random(&mut Random::new(seed, 0));
            assert!(settings.steps > 2 * settings.every, "{settings:?}");
        }
    }
}
