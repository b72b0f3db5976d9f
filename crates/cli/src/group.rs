//! The processes that this one is a rank of, started by `mpirun` or `srun`; most often it is alone.
//!
//! Every rank does what the command line says. Rank 0 speaks and writes. What a rank finds wrong before the work is agreed on, so that one of them says it
//! and all end ([`together`]). What goes wrong on one rank later ends the others at once ([`die`]).

use std::{
    fmt::{self, Display, Formatter},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::Duration,
};

use anyhow::{Result, bail};
use sfumato_train::ranks::{Alone, Ranks, Same, check_same};

use crate::{args::UsageError, backend_name::BackendName, message, say};

/// How long a rank waits before it says why it ends: rank 0 has ended it by then, if all of them have found the same. `mpirun` takes two seconds.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Variables in which the launchers of the known MPI libraries tell the number of ranks.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// One that `srun --mpi=pmix` sets.
const RANK: &str = "PMIX_RANK";

/// The group of this process, and the end of its membership when it is dropped.
pub(crate) fn start() -> Result<Box<dyn Ranks>> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let size = SIZES.into_iter().find_map(number);
    if size.is_none() && number(RANK).is_none() {
        return Ok(Box::new(Alone));
    }
    let ranks = joined(size)?;
    if !ranks.leads() {
        say::only_errors();
    }
    if !ranks.is_alone() {
        set_hook(Box::new(|info| {
            let place = info.location().map_or_else(String::new, |at| format!(" ({at})"));
            let words = info.payload_as_str().unwrap_or("without a word");
            LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| format!("{words}{place}"));
        }));
    }
    Ok(ranks)
}

#[cfg(feature = "mpi")]
fn joined(_: Option<usize>) -> Result<Box<dyn Ranks>> {
    match sfumato_train::ranks::Mpi::start() {
        Some(mpi) => Ok(Box::new(mpi)),
        None => bail!("this MPI library lets only one thread call it; it has to give MPI_THREAD_SERIALIZED"),
    }
}

#[cfg(not(feature = "mpi"))]
fn joined(size: Option<usize>) -> Result<Box<dyn Ranks>> {
    match size {
        Some(size) if size > 1 => bail!(
            "this program was built without MPI, so that {size} of it would each do all of the work: run `cargo xtask train --ranks \
             {size} …`, or build with `cargo build --release -p sfumato-cli --features mpi`"
        ),
        _ => Ok(Box::new(Alone)),
    }
}

/// The first panic's message.
static LAST_WORDS: Mutex<Option<String>> = Mutex::new(None);

/// Does the work; on several ranks a panic is an error like others, so that it ends all of them.
pub(crate) fn guarded<T>(ranks: &dyn Ranks, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if ranks.is_alone() {
        return work();
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let words = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).take();
        bail!("the program panicked: {}", words.unwrap_or_default())
    })
}

/// Every rank ends with this exit code, and one has said why.
#[derive(Debug)]
pub(crate) struct Ended(u8);

impl Ended {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.0)
    }
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("another rank has said why")
    }
}

impl std::error::Error for Ended {}

/// The result on every rank, if it is one everywhere. Else the first rank without one says why, and all get [`Ended`].
pub(crate) fn together<T>(ranks: &dyn Ranks, result: Result<T>) -> Result<T> {
    if ranks.is_alone() {
        return result;
    }
    let words = match &result {
        Ok(_) => vec![0],
        Err(error) => {
            let code = if error.is::<UsageError>() { 2 } else { 1 };
            [&[code], message(error).as_bytes()].concat()
        }
    };
    let said = ranks.all_gather(&words);
    let Some((rank, first)) = said.iter().enumerate().find(|(_, words)| words[0] != 0) else { return result };
    if rank == ranks.rank() {
        let everyone = said.iter().all(|words| words == first);
        let place = if everyone { String::new() } else { format!("{}: ", ranks.place()) };
        say::error(format_args!("error: {place}{}", String::from_utf8_lossy(&first[1..])));
        say::settle();
    }
    Err(Ended(first[0]).into())
}

/// Says what has gone wrong on this rank alone, and ends all.
pub(crate) fn die(ranks: &dyn Ranks, reason: &str) -> ! {
    if !ranks.leads() {
        sleep(PATIENCE);
    }
    say::error(format_args!("error: {}: {reason}", ranks.place()));
    say::settle();
    ranks.abort(1)
}

/// Compares the program, the backend and `more` of all ranks.
pub(crate) fn check(ranks: &dyn Ranks, backend: BackendName, more: Vec<Same>) -> Result<()> {
    let program = format!("{} ({}, {})", env!("CARGO_PKG_VERSION"), env!("SFUMATO_REVISION"), env!("SFUMATO_TARGET"));
    let mut facts =
        vec![Same { what: "the program", value: program }, Same { what: "the backend", value: backend.name() }];
    facts.extend(more);
    let way_out = "all ranks need the same program, configuration and data";
    let checked = check_same(ranks, &facts).map_err(|reason| anyhow::anyhow!("{reason}; {way_out}"));
    together(ranks, checked)
}
