//! What a number was measured on and with.

use std::fs;
use std::process::Command;

use crate::cargo::root;

/// Processor, threads, memory, system, compiler, revision: a line each.
pub(super) fn describe() -> String {
    facts().iter().map(|(name, value)| format!("- {name}: {value}\n")).collect()
}

/// The same, each with its name.
pub(in crate::commands) fn facts() -> [(&'static str, String); 5] {
    [
        ("processor", processor()),
        ("memory", memory()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("rustc", first_line(Command::new("rustc").arg("--version"))),
        ("revision", first_line(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root()))),
    ]
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "unknown".into());
    let family = field("cpu family").map(|family| format!(", family {family}")).unwrap_or_default();
    let flags = field("flags").unwrap_or_default();
    let vectors = ["avx512f", "avx2"].into_iter().find(|name| flags.split(' ').any(|flag| flag == *name));
    format!("{model}{family}, {cores} cores{}", vectors.map(|name| format!(", {name}")).unwrap_or_default())
}

fn memory() -> String {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    kibibytes.map_or_else(|| "unknown".into(), |kib: f64| format!("{:.0} GiB", kib / f64::from(1 << 20)))
}

/// The first line that a command prints; `unknown` where it fails.
pub(in crate::commands) fn first_line(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_of_the_description_says_something() {
        let text = super::describe();
        assert!(
            text.lines().count() == 5 && text.lines().all(|line| line.starts_with("- ") && !line.ends_with(": ")),
            "{text}"
        );
    }
}
