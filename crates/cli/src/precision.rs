//! Whether a precision is of use on this machine.

use anyhow::{Result, bail};
use sfumato_kernels::Precision;

use crate::{args::UsageError, backend_name::BackendName};

/// With this variable set to `emulate`, bf16 is computed without a unit for it: slowly, with the same bits.
const VARIABLE: &str = "SFUMATO_BF16";

/// Refuses a precision that the backend does not know, or that this processor is slower with; `origin` is where it was asked for.
pub(crate) fn check(origin: &str, precision: Precision, backend: BackendName) -> Result<()> {
    if precision == Precision::F32 {
        return Ok(());
    }
    let name = precision.name();
    if !backend.is_cpu() {
        let message = format!(
            "{origin} {name}: the backend '{}' computes in f32; only the CPU backends know {name} so far, and --precision f32 is for all",
            backend.name()
        );
        return Err(UsageError(message).into());
    }
    let emulated = std::env::var_os(VARIABLE).is_some_and(|value| value == "emulate");
    if !precision.is_supported() && !emulated {
        bail!(
            "{origin} {name}: this processor has no unit for {name} that programs may use (AMX, in Xeons since 2023), and is faster with f32; \
             --precision f32 trains on in f32, and {VARIABLE}=emulate computes the same bits slowly"
        );
    }
    Ok(())
}
