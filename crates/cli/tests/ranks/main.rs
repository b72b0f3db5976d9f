//! Runs on several ranks: the bits of one, faults that end all of them, and checkpoints that any number of ranks goes on from.
//!
//! The program has to be built with MPI: `cargo xtask ci --only mpi` does so. Otherwise one test says why the others did not run.

#[path = "../common/mod.rs"]
mod common;

#[cfg(all(feature = "mpi", target_os = "linux"))]
mod bits;
#[cfg(all(feature = "mpi", target_os = "linux"))]
mod faults;
#[cfg(all(feature = "mpi", target_os = "linux"))]
mod job;
#[cfg(all(feature = "mpi", target_os = "linux"))]
mod kills;
#[cfg(all(feature = "mpi", target_os = "linux"))]
mod results;

#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_does_not_do_the_work_several_times() {
    println!(
        "the tests of several ranks were skipped: the program was built without MPI; `cargo xtask ci --only mpi` runs them"
    );
    let dir = tempfile::tempdir().unwrap();
    let job = |size: &str| {
        common::sfumato(dir.path())
            .args(["train", "--print-config"])
            .env("OMPI_COMM_WORLD_SIZE", size)
            .output()
            .unwrap()
    };
    let said = common::failure(&job("4"), 1, &["train"]);
    common::contains(&said, &["built without MPI", "cargo xtask train --ranks 4", "--features mpi"]);
    assert!(job("1").status.success());
}
