//! Whether a device computes what the CPU does, before a run spends hours on it.

use anyhow::{Result, ensure};
use sfumato_train::Probe;

use crate::backend_name::BackendName;

/// Examples that are compared.
#[cfg(all(feature = "cubecl", feature = "flex"))]
const EXAMPLES: usize = 4;
/// Largest relative difference of loss and gradient norm. TF32, which devices may use for products of f32, makes about 1e-3.
const LIMIT: f64 = 1e-2;

/// Compares the first examples of a run on `device` with the same on the CPU.
///
/// # Errors
/// If loss or gradient differ by more than rounding explains.
#[cfg(all(feature = "cubecl", feature = "flex"))]
pub(super) fn check<B: sfumato_kernels::Backend>(
    run: &sfumato_train::Run<'_>,
    backend: BackendName,
    device: &B::Device,
) -> Result<()> {
    use burn::backend::{Autodiff, Flex, flex::FlexDevice};

    let there = run.probe::<Autodiff<B>>(EXAMPLES, device)?;
    let here = run.probe::<Autodiff<Flex>>(EXAMPLES, &FlexDevice)?;
    let said = compare(backend, there, here)?;
    // All ranks compare, and see about the same.
    if run.ranks.leads() {
        say!("self-check {said}");
    }
    Ok(())
}

/// Nothing to compare with, or nothing to compare.
#[cfg(not(all(feature = "cubecl", feature = "flex")))]
pub(super) fn check<B: sfumato_kernels::Backend>(
    run: &sfumato_train::Run<'_>,
    backend: BackendName,
    _device: &B::Device,
) -> Result<()> {
    if run.ranks.leads() {
        say!("note: there is no CPU backend in this program to compare {backend} with");
    }
    Ok(())
}

/// What two probes gave, in words.
///
/// # Errors
/// If they differ by more than rounding explains.
#[cfg_attr(not(all(feature = "cubecl", feature = "flex")), allow(dead_code))]
fn compare(backend: BackendName, there: Probe, here: Probe) -> Result<String> {
    let apart = |a: f64, b: f64| (a - b).abs() / b.abs().max(f64::MIN_POSITIVE);
    let (loss, norm) = (apart(there.loss, here.loss), apart(there.grad_norm, here.grad_norm));
    let values = format!(
        "loss {:.6} on {backend} and {:.6} on the CPU, gradient norm {:.6} and {:.6}",
        there.loss, here.loss, there.grad_norm, here.grad_norm
    );
    // Not above the limit, and a number.
    ensure!(
        loss <= LIMIT && norm <= LIMIT,
        "the device does not compute what the CPU does: {values}; its driver or its memory may be at fault; --no-self-check trains all the same"
    );
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_rounds_is_taken_and_one_that_errs_is_not() {
        let here = Probe { loss: 1.25, grad_norm: 0.5 };
        let of = |loss: f64, grad_norm: f64| compare(BackendName::Cuda, Probe { loss, grad_norm }, here);
        assert!(of(1.2501, 0.4999).is_ok() && of(1.25, 0.5).is_ok());
        for (loss, norm) in [(1.3, 0.5), (1.25, 0.6), (f64::NAN, 0.5), (1.25, f64::NAN), (f64::INFINITY, 0.5)] {
            let said = of(loss, norm).unwrap_err().to_string();
            assert!(said.contains("on cuda and 1.250000 on the CPU") && said.contains("--no-self-check"), "{said}");
        }
    }
}
