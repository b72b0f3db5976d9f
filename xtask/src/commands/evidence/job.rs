//! A program that an experiment runs.

use std::path::{Path, PathBuf};

use crate::cargo::root;

/// A program that is to run in the working folder.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Its name among the jobs of the folder.
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The words of the command as it is kept, without paths of this machine.
    shown: Vec<String>,
    pub(super) environment: Vec<(String, PathBuf)>,
    /// Whether the variables that choose how PyTorch and numpy compute are taken away.
    pub(super) python: bool,
    /// What it makes, which is removed before it runs (again).
    pub(super) makes: Option<String>,
    pub(super) after: Option<After>,
}

/// A line that another job prints, before which a job does not start.
#[derive(Clone, Debug)]
pub(super) struct After {
    /// The name of the other job.
    pub(super) job: String,
    /// How the line begins.
    pub(super) line: String,
}

/// Words of a command line.
pub(super) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A word without the place of the workspace on this machine.
fn within(word: &str) -> String {
    word.replace(&format!("{}/", root().display()), "")
}

impl Job {
    pub(super) fn new(name: String, program: PathBuf, called: &str, arguments: Vec<String>) -> Self {
        let shown = std::iter::once(called.to_owned()).chain(arguments.iter().map(|word| within(word))).collect();
        let environment = Vec::new();
        Self { name, program, arguments, shown, environment, python: false, makes: None, after: None }
    }

    /// The command as it is kept, without paths of this machine.
    pub(super) fn shown(&self) -> String {
        self.shown.join(" ")
    }

    /// The same on one core.
    pub(super) fn on_core(mut self, core: usize) -> Self {
        let program = std::mem::replace(&mut self.program, "taskset".into());
        let core = ["-c".to_owned(), core.to_string()];
        self.shown.splice(0..0, ["taskset".to_owned()].into_iter().chain(core.clone()));
        self.arguments.splice(0..0, core.into_iter().chain([program.to_string_lossy().into_owned()]));
        self
    }

    pub(super) fn making(mut self, path: &str) -> Self {
        self.makes = Some(path.to_owned());
        self
    }

    /// The same, started when the other job, which runs at the same time, has printed a line that begins so.
    pub(super) fn after(mut self, other: &Job, line: &str) -> Self {
        self.after = Some(After { job: other.name.clone(), line: line.to_owned() });
        self
    }

    /// Shows a path of this machine as `name`.
    pub(super) fn naming(mut self, path: &Path, name: &str) -> Self {
        // A relative one may be a word of another meaning.
        if path.is_absolute() {
            let path = within(&path.to_string_lossy());
            self.shown.iter_mut().filter(|word| **word == path).for_each(|word| name.clone_into(word));
        }
        self
    }

    pub(super) fn with(mut self, variable: &str, value: PathBuf) -> Self {
        self.environment.push((variable.to_owned(), value));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(arguments: &[&str]) -> Job {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Job::new("a".into(), "/usr/bin/sh".into(), "sfumato", arguments)
    }

    #[test]
    fn commands_are_kept_without_paths_of_this_machine() {
        let job = job(&[&format!("npy:{}/crates/x", root().display())]).on_core(1);
        assert_eq!(job.shown(), "taskset -c 1 sfumato npy:crates/x");
        assert_eq!(job.program, Path::new("taskset"));
        assert_eq!(job.arguments[..3], ["-c", "1", "/usr/bin/sh"]);
    }

    #[test]
    fn a_path_has_a_name_within_the_workspace_and_outside_of_it() {
        for path in [root().join("target/release/sfumato"), PathBuf::from("/opt/sfumato")] {
            let (word, other) = (path.to_string_lossy(), format!("{}-bench", path.display()));
            let job = job(&["--program", &word, "--other", &other]).naming(&path, "sfumato");
            assert_eq!(job.shown(), format!("sfumato --program sfumato --other {}", within(&other)));
            assert_eq!(job.arguments[1], word);
        }
        assert_eq!(job(&["sh"]).naming(Path::new("sh"), "sfumato").shown(), "sfumato sh");
    }
}
