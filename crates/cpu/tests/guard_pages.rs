//! Every slice kernel on slices that begin right after, or end right before, memory that may not be touched: a read or
//! write outside them, even of one value, ends the process. Inputs cannot be written either.
//!
//! Unlike valgrind this sees every instruction set of the machine, and takes a second. The kernels run in a process of
//! their own, one for each instruction set and edge, which names every call before it makes it.
#![cfg(target_os = "linux")]

mod calls;
mod common;
#[path = "common/fence.rs"]
mod fence;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use calls::{Kind, Memory, Results, every_case};
use common::random;
use fence::{Edge, Fenced};
use sfumato_cpu::{Isa, Precision};
use std::fmt::Debug;

/// In the kernels' process: the edge, after [`OUTSIDE`] if it is to be overstepped.
const CHILD: &str = "SFUMATO_TEST_GUARD_PAGES";
const OUTSIDE: &str = "outside ";

#[test]
fn kernels_touch_nothing_outside_their_slices() {
    if let Ok(work) = std::env::var(CHILD) {
        let (edge, work): (_, fn(Edge)) = match work.strip_prefix(OUTSIDE) {
            Some(edge) => (edge, read_outside),
            None => (work.as_str(), every_kernel),
        };
        return work(Edge::ALL.into_iter().find(|e| format!("{e:?}") == edge).expect("the parent names an edge"));
    }
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        for edge in Edge::ALL {
            let output = child(isa, &format!("{edge:?}"));
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().take(5).collect::<Vec<_>>();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
            assert!(output.status.success(), "{isa:?}, pages at the {edge:?}: {}, in\n{last}", output.status);
            assert!(said.lines().count() > 500, "{isa:?}, pages at the {edge:?}: few calls were made:\n{last}");
        }
    }
}

#[test]
fn what_is_outside_cannot_be_read() {
    for edge in Edge::ALL {
        let output = child(Isa::Portable, &format!("{OUTSIDE}{edge:?}"));
        assert!(output.status.signal().is_some(), "the {edge:?} of a slice was overstepped: {}", output.status);
        assert!(String::from_utf8_lossy(&output.stderr).ends_with("a read outside\n"));
    }
}

/// The kernels' process.
fn child(isa: Isa, work: &str) -> Output {
    let test = "kernels_touch_nothing_outside_their_slices";
    let mut command = Command::new(std::env::current_exe().expect("the program knows its path"));
    command.args(["--exact", test, "--nocapture"]).env(CHILD, work);
    command.env("SFUMATO_ISA", isa.name()).output().expect("the program runs again")
}

fn read_outside(edge: Edge) {
    let values = Memory::input(&edge, 1, 1025);
    let outside = match edge {
        Edge::Start => values.as_ptr().wrapping_sub(1),
        Edge::End => values.as_ptr().wrapping_add(values.len()),
    };
    eprintln!("a read outside");
    // SAFETY: none; the page beside the slice cannot be read, which is what is tested.
    eprintln!("that gave {}", unsafe { outside.read_volatile() });
}

/// Slices at an edge. A call is named before it is made.
impl Memory for Edge {
    type Values = Fenced;

    fn input(&self, seed: u64, len: usize) -> Fenced {
        let mut values = self.output(len);
        values.copy_from_slice(&random(seed, len));
        values.read_only();
        values
    }

    fn output(&self, len: usize) -> Fenced {
        Fenced::new(*self, len)
    }

    fn call<R: Results>(&self, what: &str, sizes: &dyn Debug, f: impl FnOnce() -> R) {
        eprintln!("{what} {sizes:?}");
        f();
    }
}

fn every_kernel(edge: Edge) {
    let named = std::env::var("SFUMATO_ISA").expect("the parent names it");
    assert_eq!(Isa::current().name(), named);
    for (kind, sizes) in every_case() {
        kind.call(&edge, &sizes, &sizes);
        // Emulated, it takes its time.
        let few = sizes.iter().take(5).product::<usize>() < 1 << 18;
        if matches!(kind, Kind::Conv | Kind::Joined | Kind::SelfAttention) && few {
            eprintln!("in bf16:");
            Precision::Bf16.with(|| kind.call(&edge, &sizes, &sizes));
        }
    }
}
