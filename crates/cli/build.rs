//! Tells the program which revision it was built from, where git can say.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // Changes of the checked-out commit, not of every file: a rebuild for each edit would cost more than it tells.
    if let Some(dir) = git(&["rev-parse", "--absolute-git-dir"]) {
        for file in ["HEAD", "logs/HEAD"] {
            println!("cargo::rerun-if-changed={dir}/{file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let revision = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=SFUMATO_REVISION={revision}");
    println!("cargo::rustc-env=SFUMATO_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=SFUMATO_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
}
