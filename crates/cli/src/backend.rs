//! The one place that names backends: from a word on the command line to a type and an open device.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook},
    sync::{Arc, Mutex, PoisonError},
};

use burn::tensor::Tensor;
use sfumato_kernels::Backend;

use crate::{
    args::{MachineArgs, UsageError},
    backend_name::BackendName,
    precision,
};

/// Why a backend cannot be used.
#[derive(Debug)]
pub(crate) enum BackendError {
    NotCompiled(BackendName),
    Unavailable { backend: BackendName, reason: String },
}

impl std::fmt::Display for BackendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotCompiled(backend) => {
                let name = backend.name();
                let compiled: Vec<String> = BackendName::all_compiled().into_iter().map(BackendName::name).collect();
                write!(
                    f,
                    "the backend '{name}' is not compiled in (compiled: {}): run `cargo xtask <command> --backend {name} …`, \
                     or build with `cargo build --release -p sfumato-cli --features {name}`",
                    compiled.join(", ")
                )
            }
            Self::Unavailable { backend, reason } => {
                write!(f, "the backend '{}' finds no usable device on this machine: {reason}", backend.name())
            }
        }
    }
}

impl std::error::Error for BackendError {}

/// Something to do on whichever backend was chosen.
pub(crate) trait Work {
    type Output: Send;
    fn run<B: Backend>(self, device: B::Device) -> anyhow::Result<Self::Output>;
}

/// Opens the chosen backend's device and does the work on it, inside Rayon's pool.
pub(crate) fn with_backend<W: Work + Send>(machine: &MachineArgs, work: W) -> anyhow::Result<W::Output> {
    if !machine.backend.compiled() {
        return Err(BackendError::NotCompiled(machine.backend).into());
    }
    if let (Some(gpu), true) = (machine.gpu, machine.backend.is_cpu()) {
        let name = machine.backend.name();
        let message = format!(
            "--gpu {gpu}: the backend '{name}' computes on the CPU; --backend cuda (or wgpu, vulkan, metal, rocm) uses a GPU"
        );
        return Err(UsageError(message).into());
    }
    precision::check("--precision", machine.precision(), machine.backend)?;
    init_threads(machine.threads)?;
    let gpu = machine.gpu.unwrap_or(0);
    match machine.backend {
        #[cfg(feature = "flex")]
        BackendName::Flex => start::<burn::backend::Flex, W>(machine.backend, burn::backend::flex::FlexDevice, work),
        #[cfg(feature = "ndarray")]
        BackendName::NdArray => {
            start::<burn::backend::NdArray, W>(machine.backend, burn::backend::ndarray::NdArrayDevice::Cpu, work)
        }
        #[cfg(feature = "cuda")]
        BackendName::Cuda => {
            start::<burn::backend::Cuda, W>(machine.backend, burn::backend::cuda::CudaDevice::new(gpu), work)
        }
        #[cfg(feature = "rocm")]
        BackendName::Rocm => {
            start::<burn::backend::Rocm, W>(machine.backend, burn::backend::rocm::RocmDevice::new(gpu), work)
        }
        #[cfg(feature = "wgpu")]
        BackendName::Wgpu => start::<burn::backend::Wgpu, W>(machine.backend, wgpu_device(gpu), work),
        #[cfg(feature = "vulkan")]
        BackendName::Vulkan => start::<burn::backend::Vulkan, W>(machine.backend, wgpu_device(gpu), work),
        #[cfg(feature = "metal")]
        BackendName::Metal => start::<burn::backend::Metal, W>(machine.backend, wgpu_device(gpu), work),
        #[allow(unreachable_patterns)] // with every feature on, nothing is left
        other => {
            let _ = gpu;
            Err(BackendError::NotCompiled(other).into())
        }
    }
}

/// GPU 0 is whatever the system calls its best adapter (a software rasteriser if there is no other).
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn wgpu_device(gpu: usize) -> burn::backend::wgpu::WgpuDevice {
    use burn::backend::wgpu::WgpuDevice;
    if gpu == 0 { WgpuDevice::DefaultDevice } else { WgpuDevice::DiscreteGpu(gpu) }
}

/// Sizes Rayon's global pool, once. Its threads get deep stacks: the whole run happens on one of them.
///
/// [`with_backend`] does it. Commands that decode pictures before, on all threads, call it first.
pub(crate) fn init_threads(threads: Option<u16>) -> anyhow::Result<()> {
    const STACK: usize = 64 << 20; // virtual; only what is touched is used
    static SIZED: Mutex<bool> = Mutex::new(false);
    let mut sized = SIZED.lock().unwrap_or_else(PoisonError::into_inner);
    if *sized {
        return Ok(());
    }
    let mut pool = rayon::ThreadPoolBuilder::new().stack_size(STACK);
    if let Some(threads) = threads {
        pool = pool.num_threads(threads.into());
    }
    pool.build_global()?;
    *sized = true;
    Ok(())
}

/// Checks the device, then works inside the pool: from a thread outside, every parallel loop would first have to wake it.
fn start<B: Backend, W: Work + Send>(backend: BackendName, device: B::Device, work: W) -> anyhow::Result<W::Output> {
    #[cfg(feature = "cubecl")]
    let fresh = (!backend.is_cpu()).then(crate::kernel_settings::empty_folder).flatten();
    // Within what catches panics: CubeCL's settings may be such that it cannot read them.
    let prepare = || {
        #[cfg(feature = "cubecl")]
        if !backend.is_cpu() {
            crate::kernel_settings::settle();
        }
    };
    open::<B>(prepare, &device).map_err(|reason| BackendError::Unavailable { backend, reason })?;
    #[cfg(feature = "cubecl")]
    if let Some(folder) = fresh {
        say!(
            "note: kernels are compiled and tuned for this device now, and kept in {}; the first steps take longer this once",
            folder.display()
        );
    }
    let mut result = None;
    rayon::scope(|_| result = Some(work.run::<B>(device)));
    result.expect("the scope has run")
}

/// Prepares, and runs one small kernel on `device`, so that a missing driver is an error here and not a panic in the middle of the work.
fn open<B: Backend>(prepare: impl FnOnce(), device: &B::Device) -> Result<(), String> {
    let outcome = caught(
        |_| true,
        || {
            prepare();
            B::sync(device).map_err(|error| error.to_string())?;
            (Tensor::<B, 1>::ones([4], device) + 1.0).try_into_data().map(drop).map_err(|error| error.to_string())
        },
    );
    outcome.and_then(|outcome| outcome.map_err(|reason| one_line(&reason)))
}

/// Does some work of which a failure is the reason in one line and not a panic, where it `is_expected`; other panics are what they are.
///
/// Burn opens and drives devices on threads of its own and panics where it cannot, and so do kernels for whose result there is no memory;
/// the first message is kept as the reason and the backtraces are kept off the screen.
pub(crate) fn caught<T>(is_expected: fn(&str) -> bool, work: impl FnOnce() -> T) -> Result<T, String> {
    let first = Arc::new(Mutex::new(None::<String>));
    let old = Arc::new(take_hook());
    let (seen, shown) = (Arc::clone(&first), Arc::clone(&old));
    set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or(NO_REASON);
        if !is_expected(message) {
            return shown(info);
        }
        if let Ok(mut first) = seen.lock() {
            first.get_or_insert_with(|| message.to_owned());
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(work));
    // With ours goes its share of the old one.
    drop(take_hook());
    if let Ok(old) = Arc::try_unwrap(old) {
        set_hook(old);
    }
    let reason = first.lock().ok().and_then(|mut first| first.take());
    result.map_err(|panic| match reason {
        Some(reason) => one_line(&reason),
        None => resume_unwind(panic),
    })
}

const NO_REASON: &str = "the driver gave no reason";

/// The first line of a driver's message.
fn one_line(reason: &str) -> String {
    reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(NO_REASON).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_is_expected_is_a_reason_and_another_stays_a_panic() {
        assert_eq!(caught(|_| true, || 3), Ok(3));
        let of = |message: &'static str| {
            caught(|reason| reason.contains("no memory"), move || -> u8 { panic!("{message}") })
        };
        assert_eq!(of("no memory for 5 bytes\nand more"), Err("no memory for 5 bytes".to_owned()));
        assert!(catch_unwind(|| of("a mistake")).is_err());
        // Other tests may have panicked meanwhile; ours left nothing behind.
        assert_eq!(caught(|_| true, || 4), Ok(4));
    }
}
