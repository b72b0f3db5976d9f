//! `--peer torch`: both programs on the same work, in turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};

use super::measured::{Output, Quiet, median, read};
use super::report::{OURS, OURS_BF16, Row, Unit, Work, is_bf16, json, table};
use super::{Options, chart, machine};
use crate::cargo::{self, root};
use crate::commands::python;

/// Ways to run PyTorch; the best of them is the peer. The first four are f32.
const VARIANTS: [&str; 6] = ["eager", "channels_last", "compile", "tuned", "bf16", "bf16_compile"];

/// Both sides.
pub(super) const THREADS: &str = "2";

/// Huge pages, and memory that stays with the process: glibc's allocator tuned for large tensors.
const TUNED: &str =
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4000000000";

/// Largest relative difference of loss and of gradient norm for two programs to count as doing the same.
pub(super) const SAME: f64 = 1e-4;

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let tasks: Vec<Task> = Task::all(options.quick).into_iter().filter(|task| task.wanted(&options.work)).collect();
    ensure!(!tasks.is_empty(), "no work's name contains `{}`", options.work);
    let networks = ["small", "cifar10"].into_iter().filter(|name| tasks.iter().any(|task| task.uses(name)));
    let bench = Bench::set_up(&networks.collect::<Vec<_>>())?;
    let machine = machine::describe(); // now: the revision may be another one when the last round ends
    let mut quiet = Quiet::new(options.patience);
    let mut works: Vec<Work> = tasks.iter().flat_map(Task::works).collect();
    for round in 0..options.rounds {
        for task in &tasks {
            let mut variants = task.variants(options.quick, bench.has_bf16);
            if round % 2 == 1 {
                variants.reverse(); // nobody always comes first
            }
            for variant in variants {
                eprintln!("round {} of {}: {}, {variant}", round + 1, options.rounds, task.name());
                let values = bench.values(task, &quiet.read(&mut bench.command(task, variant)?)?)?;
                for (name, value) in values {
                    let work = works.iter_mut().find(|work| work.name == name);
                    work.context("a task's works are known")?.add(variant, value);
                }
            }
        }
    }
    works.retain(|work| work.name.contains(&options.work));
    let rows: Vec<Row> = works.iter().flat_map(Work::rows).collect();
    let peer = format!(
        "PyTorch {}, diffusers {}, Python {}",
        bench.version("torch"),
        bench.version("diffusers"),
        bench.version("python")
    );
    println!(
        "{}- peer: {peer}\n- date: {}\n- rounds: {}, medians; {THREADS} threads",
        machine,
        bench.version("date"),
        options.rounds
    );
    println!("- {} of {} processes were disturbed by others (more than 5 % of a core)\n", quiet.disturbed, quiet.runs);
    println!("{}", table(&works, &VARIANTS));
    if let Some(path) = &options.json {
        fs::write(path, json(&rows)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.quick || !options.work.is_empty() {
        return Ok(ExitCode::SUCCESS); // the picture shows all works
    }
    let picture = root().join("docs/images/benchmarks.svg");
    fs::create_dir_all(picture.parent().context("the picture has a folder")?)?;
    let rows: Vec<Row> = rows.into_iter().filter(|row| !is_bf16(row.peer)).collect();
    fs::write(&picture, chart::svg(&rows, &format!("{peer}; {}", bench.version("date"))))
        .with_context(|| format!("cannot write {}", picture.display()))?;
    println!("{}", picture.display());
    Ok(ExitCode::SUCCESS)
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Train(Network),
    Evaluate(Network),
    FirstImage,
}

/// A network, with its calls that warm up and that count.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Network {
    name: &'static str,
    warm_up: usize,
    repetitions: usize,
}

impl Task {
    fn all(quick: bool) -> Vec<Task> {
        let small = Network { name: "small", warm_up: 2, repetitions: if quick { 3 } else { 7 } };
        let cifar10 = Network { name: "cifar10", warm_up: 2, repetitions: 3 };
        let mut tasks = vec![Task::Train(small), Task::Evaluate(small), Task::FirstImage];
        if !quick {
            tasks.splice(1..1, [Task::Train(cifar10)]);
            tasks.insert(3, Task::Evaluate(cifar10));
        }
        tasks
    }

    fn name(&self) -> String {
        match self {
            Task::Train(network) => format!("training step, {}", network.name),
            Task::Evaluate(network) => format!("evaluation, {}", network.name),
            Task::FirstImage => "start to first image".into(),
        }
    }

    /// The works that its process measures.
    fn works(&self) -> Vec<Work> {
        let mut works = vec![Work::new(self.name(), Unit::Seconds)];
        if let Task::Train(network) = self {
            works.push(Work::new(peak_memory(network), Unit::Megabytes));
        }
        works
    }

    /// Whether it is about this network.
    fn uses(&self, name: &str) -> bool {
        match self {
            Task::Train(network) | Task::Evaluate(network) => network.name == name,
            Task::FirstImage => name == "small",
        }
    }

    fn wanted(&self, filter: &str) -> bool {
        self.works().iter().any(|work| work.name.contains(filter))
    }

    /// Ours in bf16 where the processor has a unit for it.
    fn variants(&self, quick: bool, has_bf16: bool) -> Vec<&'static str> {
        let all = [OURS, OURS_BF16].into_iter().chain(VARIANTS);
        all.filter(|variant| match *variant {
            OURS_BF16 => has_bf16 && *self != Task::FirstImage,
            "bf16" => *self != Task::FirstImage,
            // Compiling takes longer than the whole work.
            "compile" | "bf16_compile" => !quick && *self != Task::FirstImage,
            "tuned" => cfg!(target_os = "linux"),
            _ => true,
        })
        .filter(|variant| *variant != "channels_last" || *self != Task::FirstImage)
        .collect()
    }
}

fn peak_memory(network: &Network) -> String {
    format!("peak memory of training, {}", network.name)
}

/// The programs, and a folder with the networks and batches.
pub(super) struct Bench {
    measured: PathBuf,
    sfumato: PathBuf,
    python: PathBuf,
    pub(super) folder: PathBuf,
    versions: Output,
    /// Whether this processor has a unit for bf16.
    has_bf16: bool,
}

impl Bench {
    /// Builds, writes what both programs read, and makes sure that both compute the same.
    pub(super) fn set_up(networks: &[&str]) -> anyhow::Result<Bench> {
        let python = python::interpreter(".venv-peer", "requirements.txt")?;
        let measured = super::build(&[])?;
        let sfumato = cargo::build("sfumato-cli", "sfumato", &[])?.context("sfumato cannot be built")?;
        let folder = measured.parent().context("programs lie in a folder")?.join("peer");
        let mut versions = Command::new(&python);
        versions.arg(python::folder().join("torch_peer.py")).arg("versions");
        let versions = read(&mut versions).with_context(|| format!("{} cannot run the peer", python.display()))?;
        let has_bf16 = read(Command::new(&measured).arg("units"))?.number("bf16")? == 1.0;
        let bench = Bench { measured, sfumato, python, folder, versions, has_bf16 };
        networks.iter().try_for_each(|name| bench.prepare(name))?;
        Ok(bench)
    }

    fn prepare(&self, network: &str) -> anyhow::Result<()> {
        let dir = self.folder.join(network);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        read(self.ours(["prepare", network]).arg(&dir))?;
        let ours = read(&mut self.ours(["check", network]))?;
        let theirs = read(&mut self.theirs("check", &dir, "eager"))?;
        for name in ["loss", "grad_norm"] {
            let (a, b) = (ours.number(name)?, theirs.number(name)?);
            let difference = (a - b).abs() / b.abs();
            eprintln!("{network}: {name} {a:.7} here, {b:.7} in PyTorch, relative difference {difference:.1e}");
            if difference.is_nan() || difference > SAME {
                bail!("the two programs do not compute the same: {name} of {network} is {a} here and {b} in PyTorch");
            }
        }
        Ok(())
    }

    fn command(&self, task: &Task, variant: &str) -> anyhow::Result<Command> {
        let timing = |network: &Network| [network.warm_up.to_string(), network.repetitions.to_string()];
        let command = match task {
            Task::Train(network) | Task::Evaluate(network) => {
                let verb = if matches!(task, Task::Train(_)) { "train" } else { "evaluate" };
                let [warm_up, repetitions] = timing(network);
                if [OURS, OURS_BF16].contains(&variant) {
                    let mut command = self.ours([verb, network.name]);
                    command.args(["--warm-up", &warm_up, "--repetitions", &repetitions]);
                    command.args((variant == OURS_BF16).then_some("--bf16"));
                    command
                } else {
                    let layout = if variant == "tuned" { "eager" } else { variant };
                    let mut command = self.theirs(verb, &self.folder.join(network.name), variant);
                    command.args([layout, &warm_up, &repetitions]);
                    command
                }
            }
            Task::FirstImage => {
                let dir = self.folder.join("small");
                if variant == OURS {
                    let out = self.folder.join("samples");
                    if out.exists() {
                        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
                    }
                    let mut command = Command::new(&self.sfumato);
                    command.args("sample --num 1 --sampler ddim --steps 50 --threads".split(' ')).arg(THREADS);
                    command.arg("--model").arg(dir).arg("--out").arg(out);
                    command
                } else {
                    let mut command = self.theirs("image", &dir, variant);
                    command.arg(self.folder.join("first.png"));
                    command
                }
            }
        };
        Ok(command)
    }

    pub(super) fn ours<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(&self.measured);
        command.args(arguments).env("RAYON_NUM_THREADS", THREADS);
        command
    }

    pub(super) fn theirs(&self, verb: &str, dir: &Path, variant: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(python::folder().join("torch_peer.py")).arg(verb).arg(dir);
        python::forget_settings(&mut command);
        command.env("THREADS", THREADS).env("TORCHINDUCTOR_CACHE_DIR", self.folder.join("inductor"));
        if variant == "tuned" {
            command.env("GLIBC_TUNABLES", TUNED);
        }
        command
    }

    /// The numbers of a process by the names of the works they belong to.
    fn values(&self, task: &Task, output: &Output) -> anyhow::Result<Vec<(String, f64)>> {
        Ok(match task {
            Task::FirstImage => vec![(task.name(), output.wall)],
            Task::Evaluate(_) => vec![(task.name(), median(&output.numbers("seconds")))],
            Task::Train(network) => {
                let seconds = (task.name(), median(&output.numbers("seconds")));
                // Only where the system says.
                let memory = output.number("peak_bytes").ok().map(|bytes| (peak_memory(network), bytes / 1e6));
                std::iter::once(seconds).chain(memory).collect()
            }
        })
    }

    pub(super) fn version(&self, of: &str) -> &str {
        self.versions.text(of).unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_have_different_names_and_filters_find_them() {
        let tasks = Task::all(false);
        let mut names: Vec<String> = tasks.iter().flat_map(Task::works).map(|work| work.name).collect();
        assert_eq!(names.len(), 7);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 7);
        assert_eq!(tasks.iter().filter(|task| task.wanted("cifar10")).count(), 2);
        assert_eq!(tasks.iter().filter(|task| task.wanted("peak memory")).count(), 2);
        assert_eq!(tasks.iter().filter(|task| task.wanted("")).count(), 5);
    }

    #[test]
    fn a_quick_look_leaves_out_what_takes_long() {
        let tasks = Task::all(true);
        assert!(tasks.iter().all(|task| !task.wanted("cifar10") && !task.variants(true, true).contains(&"compile")));
        assert_eq!(Task::all(false)[0].variants(false, false)[..4], ["ours", "eager", "channels_last", "compile"]);
        assert_eq!(Task::all(false)[0].variants(false, true)[..3], ["ours", "ours_bf16", "eager"]);
        let first = Task::FirstImage.variants(false, true);
        assert!(first.iter().all(|variant| !is_bf16(variant) && *variant != "compile"));
    }
}
