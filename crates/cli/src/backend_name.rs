//! The backends by name.

use clap::ValueEnum;

/// Every backend that the program can be built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum BackendName {
    /// CPU, the default
    Flex,
    /// CPU, Burn's older backend
    NdArray,
    /// NVIDIA
    Cuda,
    /// Any GPU, through WebGPU
    Wgpu,
    /// Any GPU, through Vulkan
    Vulkan,
    /// Apple
    Metal,
    /// AMD
    Rocm,
}

impl BackendName {
    /// The names, in the order of the enum.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Whether this program can use it.
    pub(crate) fn compiled(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Rocm => cfg!(feature = "rocm"),
        }
    }

    /// Whether it computes on the CPU.
    pub(crate) fn is_cpu(self) -> bool {
        matches!(self, Self::Flex | Self::NdArray)
    }

    /// The backends that this program can use.
    pub(crate) fn all_compiled() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|name| name.compiled()).collect()
    }

    /// What is used when nothing is said: the first that is compiled in.
    pub(crate) fn compiled_default() -> Self {
        Self::all_compiled().first().copied().unwrap_or(Self::Flex)
    }
}

impl std::fmt::Display for BackendName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}
