//! What a number in a report depends on besides its configuration: program, revision, backends, CPU.

use anyhow::Result;
use serde_json::{Map, Value, json};
use sfumato_kernels::Precision;

use crate::{args::MachineArgs, backend_name::BackendName};

/// Version, revision, compiled backends, CPU and its features in use.
pub(crate) fn describe() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": env!("SFUMATO_REVISION"),
        "target": env!("SFUMATO_TARGET"),
        "profile": env!("SFUMATO_PROFILE"),
        "backends": BackendName::all_compiled().into_iter().map(BackendName::name).collect::<Vec<_>>(),
        "cpu_features": cpu_features(),
        "cpu_threads": std::thread::available_parallelism().map_or(1, usize::from),
    })
}

/// The same with the backend and thread count of this run.
pub(crate) fn describe_run(machine: &MachineArgs) -> Value {
    let mut environment = describe();
    environment["backend"] = machine.backend.name().into();
    environment["threads"] = rayon::current_num_threads().into();
    set_precision(&mut environment, machine.precision());
    environment
}

/// Notes what convolutions and attention multiply, where it is not f32.
pub(crate) fn set_precision(environment: &mut Value, precision: Precision) {
    let Some(all) = environment.as_object_mut() else { return };
    all.remove("precision");
    if precision != Precision::F32 {
        all.insert("precision".into(), precision.name().into());
    }
}

/// Version and revision: what a picture says of the program. The rest of [`describe`] is the machine's, and the pictures do not depend on it
/// but for rounding.
pub(crate) fn program() -> Map<String, Value> {
    let of = |name: &str, value: &str| (name.to_owned(), value.into());
    Map::from_iter([of("version", env!("CARGO_PKG_VERSION")), of("revision", env!("SFUMATO_REVISION"))])
}

/// Prints the version for people, or all of [`describe`] as JSON.
pub(crate) fn print_version(json: bool) -> Result<()> {
    if json {
        out!("{:#}", describe())
    } else {
        out!("sfumato {} ({})", env!("CARGO_PKG_VERSION"), env!("SFUMATO_REVISION"))
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let features = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ];
    features.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
