//! `--peer torch --grid`: both networks at many batches and image sizes, in f32 beside PyTorch's best.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};

use super::measured::{median, read};
use super::peer::{Bench, SAME, THREADS};
use super::report::{OURS, Unit};
use super::{Options, machine};

const BATCHES: [u64; 4] = [1, 4, 16, 64];
const SIZES: [u64; 5] = [16, 32, 64, 128, 256];

/// Ways to run PyTorch in f32, all with glibc's allocator tuned.
const EAGER: [&str; 2] = ["eager", "channels_last"];
const COMPILED: &str = "compile";

/// Seconds of our call up to which PyTorch is compiled too: compiling takes a minute, and saves the time between kernels, which
/// longer calls do not notice.
const COMPILE_BELOW: f64 = 0.1;

/// Seconds of our call from which a cell has as few calls as tell something: what is set up at the first is little beside it.
const LONG: f64 = 5.0;

/// A network, and the most pixels of a batch that PyTorch has memory for on a machine with 24 GiB.
#[derive(Clone, Copy, Debug)]
struct Network {
    name: &'static str,
    most_trained: u64,
    most_evaluated: u64,
}

const NETWORKS: [Network; 2] = [
    Network { name: "small", most_trained: 64 * 64 * 64, most_evaluated: 64 * 128 * 128 },
    Network { name: "cifar10", most_trained: 16 * 64 * 64, most_evaluated: 64 * 64 * 64 },
];

/// One cell of a table.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    network: &'static str,
    verb: &'static str,
    batch: u64,
    size: u64,
    /// Seconds by variant, ours first; none where there is not enough memory.
    seconds: Vec<(&'static str, f64)>,
}

impl Cell {
    fn name(&self) -> String {
        let work = if self.verb == "train" { "training step" } else { "evaluation" };
        format!("{work}, {}", self.network)
    }

    fn get(&self, variant: &str) -> Option<f64> {
        self.seconds.iter().find(|(name, _)| *name == variant).map(|(_, seconds)| *seconds)
    }

    /// PyTorch's best over ours.
    fn ratio(&self) -> Option<f64> {
        let best = self.seconds.iter().filter(|(name, _)| *name != OURS).map(|(_, seconds)| *seconds);
        Some(best.reduce(f64::min)? / self.get(OURS)?)
    }
}

/// All cells without their times.
fn cells(quick: bool) -> Vec<(Cell, bool)> {
    let mut cells = Vec::new();
    for network in if quick { &NETWORKS[..1] } else { &NETWORKS[..] } {
        for (verb, most) in [("evaluate", network.most_evaluated), ("train", network.most_trained)] {
            for batch in BATCHES.into_iter().take(if quick { 2 } else { 4 }) {
                for size in SIZES.into_iter().take(if quick { 2 } else { 5 }) {
                    let cell = Cell { network: network.name, verb, batch, size, seconds: Vec::new() };
                    cells.push((cell, batch * size * size <= most));
                }
            }
        }
    }
    cells
}

/// Calls that are counted, for calls of about this many seconds.
fn repetitions(seconds: f64) -> usize {
    match seconds {
        s if s < 0.05 => 15,
        s if s < 0.5 => 5,
        s if s < 3.0 => 2,
        _ => 1,
    }
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut cells: Vec<_> =
        cells(options.quick).into_iter().filter(|(cell, _)| cell.name().contains(&options.work)).collect();
    ensure!(!cells.is_empty(), "no work's name contains `{}`", options.work);
    let networks: Vec<&str> = NETWORKS.iter().map(|network| network.name).collect();
    let wanted: Vec<&str> =
        networks.into_iter().filter(|name| cells.iter().any(|(cell, _)| cell.network == *name)).collect();
    let bench = Bench::set_up(&wanted)?;
    let machine = machine::describe();
    let mut peer = Peer::start(&bench)?;
    check_sizes(&bench, &mut peer, &wanted)?;
    for (cell, fits) in &mut cells {
        if *fits {
            measure(cell, &bench, &mut peer, options)?;
        }
    }
    let cells: Vec<Cell> = cells.into_iter().map(|(cell, _)| cell).collect();
    println!(
        "{machine}- peer: PyTorch {}, diffusers {}, Python {}\n- date: {}\n- {THREADS} threads; medians\n",
        bench.version("torch"),
        bench.version("diffusers"),
        bench.version("python"),
        bench.version("date")
    );
    print!("{}", tables(&cells));
    if let Some(path) = &options.json {
        fs::write(path, json(&cells)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails if the programs do not compute the same at a size that is not the network's own.
fn check_sizes(bench: &Bench, peer: &mut Peer, networks: &[&str]) -> anyhow::Result<()> {
    for network in networks {
        let dir = bench.folder.join(format!("{network}-grid"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let size = ["--batch", "2", "--size", "48"];
        read(bench.ours(["prepare", network]).arg(&dir).args(size))?;
        let ours = read(bench.ours(["check", network]).args(size))?.number("loss")?;
        let theirs = peer.ask(&format!("loss {}", dir.display()))?[0];
        let difference = (ours - theirs).abs() / theirs.abs();
        ensure!(
            difference <= SAME,
            "the two programs do not compute the same: the loss of {network} at 48×48 is {ours} here and {theirs} in PyTorch"
        );
    }
    Ok(())
}

/// Ours before and after PyTorch's variants, so that a slow minute does not take sides.
fn measure(cell: &mut Cell, bench: &Bench, peer: &mut Peer, options: &Options) -> anyhow::Result<()> {
    let Cell { network, verb, batch, size, .. } = *cell;
    let ours = |warm_up: u64, repetitions: usize| -> anyhow::Result<Vec<f64>> {
        let [batch, size, warm_up, repetitions] =
            [batch, size, warm_up, repetitions as u64].map(|number| number.to_string());
        let mut command = bench.ours([verb, network, "--batch", &batch, "--size", &size, "--warm-up", &warm_up]);
        Ok(read(command.args(["--repetitions", &repetitions]))?.numbers("seconds"))
    };
    // Two calls, of which the second is like those that follow.
    let first = ours(0, 2)?[1..].to_vec();
    let about = median(&first);
    let repetitions = repetitions(about);
    let is_long = about > LONG;
    let mut all = if is_long { first } else { ours(1, repetitions)? };
    let compiled = (!options.quick && about < COMPILE_BELOW).then_some(COMPILED);
    let mut theirs = Vec::new();
    for variant in EAGER.into_iter().chain(compiled) {
        let dir = bench.folder.join(network);
        let seconds = peer.ask(&format!("{verb} {} {batch} {size} {variant} {repetitions}", dir.display()))?;
        theirs.push((variant, median(&seconds)));
    }
    all.extend(ours(u64::from(!is_long), repetitions)?);
    cell.seconds = [(OURS, median(&all))].into_iter().chain(theirs).collect();
    let ratio = cell.ratio().unwrap_or(f64::NAN);
    eprintln!("{}, {batch} of {size}×{size}: {:?}, best/ours {ratio:.2}", cell.name(), cell.seconds);
    Ok(())
}

/// A PyTorch that waits for work: it starts once for all cells.
struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(bench: &Bench) -> anyhow::Result<Peer> {
        let mut command: Command = bench.theirs("serve", &bench.folder, "tuned");
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot run the peer")?;
        let requests = process.stdin.take().context("standard input is piped")?;
        let answers = BufReader::new(process.stdout.take().context("standard output is piped")?);
        Ok(Peer { process, requests, answers })
    }

    /// The numbers that it answers with.
    fn ask(&mut self, request: &str) -> anyhow::Result<Vec<f64>> {
        writeln!(self.requests, "{request}").context("the peer has ended")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the peer ended at `{request}`: {}", self.process.wait()?);
        }
        let numbers: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        numbers.filter(|numbers| !numbers.is_empty()).with_context(|| format!("`{request}` was answered by `{line}`"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A table of ratios for each work, batches by sizes, and one of all times.
fn tables(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut names: Vec<String> = cells.iter().map(Cell::name).collect();
    names.dedup();
    for name in names {
        let of: Vec<&Cell> = cells.iter().filter(|cell| cell.name() == name).collect();
        let mut sizes: Vec<u64> = of.iter().map(|cell| cell.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let heads: Vec<String> = sizes.iter().map(|size| format!("{size}×{size}")).collect();
        let _ = writeln!(text, "{name}: PyTorch's best f32 / ours\n");
        let _ = writeln!(text, "| batch | {} |\n| ---: |{}", heads.join(" | "), " ---: |".repeat(sizes.len()));
        for row in of.chunks(sizes.len()) {
            let cells: Vec<String> =
                row.iter().map(|cell| cell.ratio().map_or("–".into(), |ratio| format!("{ratio:.2}"))).collect();
            let _ = writeln!(text, "| {} | {} |", row[0].batch, cells.join(" | "));
        }
        text.push('\n');
    }
    let variants = [OURS, EAGER[0], EAGER[1], COMPILED];
    let _ = writeln!(text, "| work | batch | size | {} | best/ours |", variants.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(variants.len() + 3));
    for cell in cells.iter().filter(|cell| !cell.seconds.is_empty()) {
        let times =
            variants.map(|variant| cell.get(variant).map_or("–".into(), |seconds| Unit::Seconds.show(seconds)));
        let ratio = cell.ratio().map_or("–".into(), |ratio| format!("{ratio:.2}"));
        let _ =
            writeln!(text, "| {} | {} | {} | {} | {ratio} |", cell.name(), cell.batch, cell.size, times.join(" | "));
    }
    text
}

/// `[{"work", "batch", "size", "variant", "seconds"}, …]`.
fn json(cells: &[Cell]) -> String {
    let lines: Vec<String> = cells
        .iter()
        .flat_map(|cell| cell.seconds.iter().map(move |(variant, seconds)| (cell, variant, seconds)))
        .map(|(cell, variant, seconds)| {
            format!(
                r#"  {{"work": "{}", "batch": {}, "size": {}, "variant": "{variant}", "seconds": {seconds:.6}}}"#,
                cell.name(),
                cell.batch,
                cell.size
            )
        })
        .collect();
    if lines.is_empty() { "[]\n".into() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_and_size_has_its_cell_and_what_does_not_fit_is_known() {
        let cells = cells(false);
        assert_eq!(cells.len(), 2 * 2 * BATCHES.len() * SIZES.len());
        let fits = |verb: &str, batch: u64, size: u64| {
            let wanted = |cell: &Cell| cell.verb == verb && cell.network == "cifar10";
            cells.iter().find(|(cell, _)| wanted(cell) && cell.batch == batch && cell.size == size).unwrap().1
        };
        assert!(fits("train", 1, 256) && fits("train", 64, 32) && fits("evaluate", 16, 128));
        assert!(!fits("train", 4, 256) && !fits("evaluate", 64, 128));
        assert_eq!(super::cells(true).len(), 8);
    }

    #[test]
    fn the_best_of_pytorch_is_divided_by_ours() {
        let mut cells: Vec<Cell> = super::cells(true).into_iter().map(|(cell, _)| cell).collect();
        cells[1].seconds = vec![(OURS, 0.5), ("eager", 2.0), ("channels_last", 1.25)];
        let text = tables(&cells);
        assert!(text.contains("| 1 | – | 2.50 |"), "{text}");
        assert!(text.contains("| evaluation, small | 1 | 32 | 500.0 ms | 2.00 s | 1.25 s | – | 2.50 |"), "{text}");
        assert_eq!(json(&cells).matches("\"variant\"").count(), 3);
        assert_eq!(json(&[]), "[]\n");
    }
}
