//! Where an experiment works: a folder, the program, and what ran already.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::super::python;
use super::arrays::Pictures;
use super::job::{Job, words};
use super::kept::{self, Command};
use super::scores::Scores;

/// A network of a few thousand parameters, for small versions.
const TINY: &str = "--set model.channels=[8,16] --set model.attention=[false,false] --set model.groups=4 \
                    --set model.blocks_per_level=1 --batch-size 16 --set samples.num=4 --set samples.steps=4";

/// Training and test pictures of small versions.
const QUICK: [usize; 2] = [600, 400];

/// What an experiment has at hand.
pub(super) struct Work {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    /// A much smaller version: tiny networks, few steps, few pictures.
    pub(super) quick: bool,
    pub(super) threads: Option<usize>,
    /// Revision of the code, for what runs now.
    pub(super) revision: String,
    /// What ran, or had run before.
    pub(super) commands: RefCell<Vec<Command>>,
    pub(super) pictures: OnceCell<Pictures>,
}

impl Work {
    /// Makes the folder's parts.
    pub(super) fn prepare(&self) -> anyhow::Result<()> {
        for part in ["", "data", "runs", "samples", "scores", "steps"] {
            let folder = self.folder.join(part);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(())
    }

    /// The small number in a small version, else the other one.
    pub(super) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Settings of small versions.
    pub(super) fn tiny(&self) -> &'static str {
        if self.quick { TINY } else { "" }
    }

    /// The embedded pictures.
    pub(super) fn pictures(&self) -> anyhow::Result<&Pictures> {
        if self.pictures.get().is_none() {
            let _ = self.pictures.set(Pictures::embedded()?);
        }
        self.pictures.get().context("the embedded pictures are gone")
    }

    /// The data that models are scored on.
    pub(super) fn dataset(&self) -> anyhow::Result<&'static str> {
        if !self.quick {
            return Ok("fashion-mnist");
        }
        self.pictures()?.write_splits(&self.path("data/quick.npz"), QUICK, true)?;
        Ok("npy:data/quick.npz")
    }

    /// A call of the program.
    pub(super) fn sfumato(&self, name: &str, arguments: Vec<String>) -> Job {
        Job::new(name.to_owned(), self.program.clone(), "sfumato", arguments)
    }

    /// A call of `cargo xtask`, with the program that is at hand.
    pub(super) fn xtask(&self, name: &str, arguments: Vec<String>) -> anyhow::Result<Job> {
        let own = std::env::current_exe().context("cannot tell where xtask is")?;
        Ok(Job::new(name.to_owned(), own, "cargo xtask", arguments).naming(&self.program, "sfumato"))
    }

    /// A call of a Python program with the packages of `requirements`.
    pub(super) fn python(&self, name: &str, requirements: [&str; 2], arguments: Vec<String>) -> anyhow::Result<Job> {
        let [environment, requirements] = requirements;
        let python = python::interpreter(environment, requirements)?;
        let mut job = Job::new(name.to_owned(), python, "python", arguments).naming(&self.program, "sfumato");
        job.python = true;
        Ok(job)
    }

    /// A program of the workspace.
    pub(super) fn example(&self, name: &str, package: &str) -> anyhow::Result<Job> {
        let mut build = crate::cargo::cargo("build");
        // With the program, so that Burn has the features that it has everywhere else.
        build.args(["--release", "--package", "sfumato-cli", "--package", package, "--example", name]);
        build.args(["--message-format", "json-render-diagnostics"]);
        let programs = crate::cargo::executables(&mut build)?.context("the example cannot be built")?;
        let (_, program) = programs.into_iter().find(|(of, _)| of == name).context("cargo did not say where it is")?;
        let called = format!("cargo run --release -p {package} -p sfumato-cli --example {name}");
        Ok(Job::new(name.to_owned(), program, &called, Vec::new()))
    }

    fn threads(&self) -> Vec<String> {
        self.threads.map(|threads| words(&format!("--threads {threads}"))).unwrap_or_default()
    }

    /// Trains a model, or goes on with a run that is there: the directory of the run. Steps end it, not minutes. Small versions have a
    /// tiny network, `quick` steps and the small data set.
    pub(super) fn train(&self, name: &str, steps: [u64; 2], arguments: &str) -> anyhow::Result<String> {
        let dir = format!("runs/{name}");
        let steps = self.pick(steps[0], steps[1]);
        let mut all = words(&format!("train --out {dir} --steps {steps} {arguments}"));
        all.extend(words(self.tiny()));
        if self.quick && !arguments.contains("--dataset") {
            all.extend(words(&format!("--preset fashion-mnist-mini --dataset {}", self.dataset()?)));
        }
        all.extend(self.threads());
        let mut job = self.sfumato(&format!("train-{name}"), all);
        if self.path(&dir).join("config.toml").is_file() {
            job.arguments = words(&format!("train --resume {dir} --steps {steps}"));
            job.arguments.extend(self.threads());
        }
        self.run(job)?;
        Ok(dir)
    }

    /// Scores by `sfumato eval`.
    pub(super) fn eval(&self, name: &str, arguments: &str) -> anyhow::Result<Scores> {
        self.json("eval", name, words(arguments), self.threads())
    }

    /// Compares what `eval` wrote of two models under these names.
    pub(super) fn compare(&self, name: &str, [a, b]: [&str; 2]) -> anyhow::Result<Scores> {
        // It would take the place of the scores, which an experiment that goes on after a stop reads again.
        ensure!(![a, b].contains(&name), "the comparison `{name}` has the name of what it compares");
        let files = [a, b].map(|of| format!("scores/{of}.json"));
        // No network is evaluated, so that there are no threads to choose.
        self.json("compare", name, files.to_vec(), Vec::new())
    }

    /// Draws samples: their directory.
    pub(super) fn sample(&self, name: &str, arguments: &str) -> anyhow::Result<String> {
        let dir = format!("samples/{name}");
        let mut all = words(&format!("sample --out {dir} {arguments}"));
        all.extend(self.threads());
        self.run(self.sfumato(&format!("sample-{name}"), all).making(&dir))?;
        Ok(dir)
    }

    /// What a command of the program writes as JSON.
    fn json(&self, command: &str, name: &str, arguments: Vec<String>, more: Vec<String>) -> anyhow::Result<Scores> {
        let file = format!("scores/{name}.json");
        let all = [vec![command.to_owned()], arguments, words(&format!("--json {file}")), more].concat();
        self.run(self.sfumato(&format!("{command}-{name}"), all))?;
        Scores::read(&self.path(&file))
    }

    /// Runs one job, unless it is done: what it printed.
    pub(super) fn run(&self, job: Job) -> anyhow::Result<String> {
        self.together(&[job])?.pop().context("one job has one result")
    }

    /// Runs jobs at the same time, unless all are done: what they printed.
    pub(super) fn together(&self, jobs: &[Job]) -> anyhow::Result<Vec<String>> {
        let mut done = jobs.iter().map(|job| self.done(job)).collect::<anyhow::Result<Vec<_>>>()?;
        if done.iter().any(Option::is_none) {
            done = self.start_and_wait(jobs)?.into_iter().map(Some).collect();
        }
        self.commands.borrow_mut().extend(done.into_iter().flatten());
        jobs.iter().map(|job| self.printed(job)).collect()
    }

    pub(super) fn start(&self, job: &Job) -> anyhow::Result<Child> {
        if let Some(dir) = job.makes.as_ref().map(|made| self.path(made)).filter(|dir| dir.is_dir()) {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        self.take_down(job, None)?;
        eprintln!("   {}", job.shown());
        let file = |kind: &str| {
            let path = self.step(job, kind);
            fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))
        };
        let mut process = Process::new(&job.program);
        process.args(&job.arguments).envs(job.environment.iter().cloned()).current_dir(&self.folder);
        if job.python {
            python::forget_settings(&mut process);
        }
        process.stdin(Stdio::null()).stdout(file("out")?).stderr(file("log")?);
        process.spawn().with_context(|| format!("cannot run {}", job.program.display()))
    }

    /// What a job printed on standard output.
    fn printed(&self, job: &Job) -> anyhow::Result<String> {
        let path = self.step(job, "out");
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The end of what a failed job said.
    pub(super) fn last_words(&self, job: &Job) -> String {
        let log = fs::read_to_string(self.step(job, "log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(5)..].iter().map(|line| format!("\n  {line}")).collect()
    }

    pub(super) fn step(&self, job: &Job, extension: &str) -> PathBuf {
        self.path("steps").join(format!("{}.{extension}", job.name))
    }

    /// Writes that a job has begun, or is done.
    pub(super) fn take_down(&self, job: &Job, done: Option<&Command>) -> anyhow::Result<()> {
        let path = self.step(job, "json");
        let seconds = done.map(|done| done.seconds);
        let json = json!({ "command": job.shown(), "seconds": seconds, "revision": self.revision });
        fs::write(&path, format!("{json:#}\n")).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What is known of a job that is done; none if it is to run, or to go on.
    fn done(&self, job: &Job) -> anyhow::Result<Option<Command>> {
        let path = self.step(job, "json");
        if !path.is_file() {
            return Ok(None);
        }
        begun(&path, &job.shown())
    }
}

/// What a file says of a command: none if it was begun and is not done.
fn begun(path: &Path, wanted: &str) -> anyhow::Result<Option<Command>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let damaged = || format!("{} is damaged: remove it, and the step is done again", path.display());
    let json: Value = serde_json::from_str(&text).with_context(damaged)?;
    let command = kept::text(&json, "command").with_context(damaged)?;
    ensure!(
        command == wanted,
        "{} is of another command, `{command}`, and not of `{wanted}`: choose another folder with --out, or remove the file \
         and what the command made",
        path.display()
    );
    let revision = kept::text(&json, "revision").with_context(damaged)?;
    Ok(json["seconds"].as_f64().map(|seconds| Command { command, seconds, revision }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::kept::tests::folder;
    use super::*;

    pub(in super::super) fn work(name: &str) -> Work {
        let work = Work {
            program: "sh".into(),
            folder: folder(name),
            quick: true,
            threads: Some(1),
            revision: "r1".into(),
            commands: RefCell::default(),
            pictures: OnceCell::new(),
        };
        work.prepare().unwrap();
        work
    }

    pub(in super::super) fn shell(work: &Work, name: &str, script: &str) -> Job {
        work.sfumato(name, vec!["-c".into(), script.into()])
    }

    #[cfg(unix)]
    #[test]
    fn a_step_that_is_done_is_not_done_again() {
        let work = work("steps");
        let count = "echo x >> count; wc -l < count";
        assert_eq!(work.run(shell(&work, "a", count)).unwrap().trim(), "1");
        assert_eq!(work.run(shell(&work, "a", count)).unwrap().trim(), "1");
        assert_eq!(work.run(shell(&work, "b", count)).unwrap().trim(), "2");
        // Begun, and not done.
        work.take_down(&shell(&work, "a", count), None).unwrap();
        assert_eq!(work.run(shell(&work, "a", count)).unwrap().trim(), "3");
        let error = work.run(shell(&work, "a", "echo other")).unwrap_err().to_string();
        assert!(error.contains("a.json is of another command") && error.contains("--out"), "{error}");
        assert_eq!(work.commands.borrow().len(), 4);
        assert_eq!(work.commands.borrow()[0].command, format!("sfumato -c {count}"));
        fs::remove_dir_all(&work.folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_step_that_fails_is_named_with_what_it_said() {
        let work = work("fails");
        let jobs = [shell(&work, "a", "echo fine"), shell(&work, "b", "echo no reason >&2; exit 3")];
        let error = work.together(&jobs).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.ends_with("\n  no reason"), "{error}");
        // Jobs that belong together run together again.
        assert!(work.done(&jobs[0]).unwrap().is_some() && work.done(&jobs[1]).unwrap().is_none());
        fs::write(work.step(&jobs[0], "json"), "{").unwrap();
        assert!(work.done(&jobs[0]).unwrap_err().to_string().contains("a.json is damaged"));
        fs::remove_dir_all(&work.folder).unwrap();
    }
}
