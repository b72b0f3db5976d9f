//! The same on the accelerators that are compiled in and that this machine has: Mesa's Vulkan on a CPU is one.
//!
//! Kernels are compiled and tuned for every size, which takes many minutes on a CPU. So operations of the sizes of a network are
//! always compared, and all others where `SFUMATO_DEVICE_TESTS=all`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

use super::*;

/// Relative error of f32 on a device that rounds as CPUs do, whose sums have another order.
#[cfg(feature = "vulkan")]
const DEVICE: f64 = 5e-5;
/// The same where products of f32 may be TF32, which has ten bits after the point.
#[cfg(feature = "cuda")]
const TF32: f64 = 5e-3;

/// Whether this machine has the device of a backend; says so once where it has none.
fn is_there<B: Burn>(name: &str) -> bool {
    let one = || (Tensor::<B, 1>::ones([4], &B::Device::default()) + 1.0).try_into_data().is_ok();
    let there = catch_unwind(AssertUnwindSafe(one)).unwrap_or(false);
    if !there {
        eprintln!("NOT RUN on {name}: this machine has no such device");
    }
    there
}

#[cfg(feature = "vulkan")]
static VULKAN: LazyLock<bool> = LazyLock::new(|| is_there::<burn::backend::Vulkan>("vulkan"));
#[cfg(feature = "cuda")]
static CUDA: LazyLock<bool> = LazyLock::new(|| is_there::<burn::backend::Cuda>("cuda"));

/// [`check`], where all operations are to be compared.
pub(super) fn check_if_all(op: &impl Op, want: &[Vec<f64>]) {
    if std::env::var("SFUMATO_DEVICE_TESTS").is_ok_and(|which| which == "all") {
        check(op, want);
    }
}

/// The operation and its gradients beside those in f64.
pub(super) fn check(op: &impl Op, want: &[Vec<f64>]) {
    #[cfg(feature = "vulkan")]
    if *VULKAN {
        let got = run::<Autodiff<burn::backend::Vulkan>>(op, DType::F32, |x| op.ours(x));
        assert_close("vulkan", &got, want, DEVICE);
    }
    #[cfg(feature = "cuda")]
    if *CUDA {
        let got = run::<Autodiff<burn::backend::Cuda>>(op, DType::F32, |x| op.ours(x));
        assert_close("cuda", &got, want, TF32);
    }
}
