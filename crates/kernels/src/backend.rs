//! The backend extension: Burn's backend plus the operations of this crate.

use crate::composed;
use crate::operands::{
    AdamPrimitives, AffineGradients, AttentionBlockGradients, AttentionBlockOperands, AttentionBlockOutput,
    GroupNormGradients, GroupNormOperands, GroupNormOutput, JoinedGradients, NormConvGradients, NormConvOperands,
    WantedGradients,
};
use crate::ops::{AdamStep, AttentionBlockSpec, Conv2dGeometry, GroupNormSpec};
use burn::tensor::{backend, ops::FloatTensor};

/// Burn's backend plus the fused operations of this crate, on primitives.
///
/// Every method has a body composed of Burn's operations, so `impl Backend for X {}` is correct for any backend;
/// the CPU backends override them with slice kernels. Methods trust their shapes: call them through the checked
/// functions of this crate ([`crate::conv2d`] and the others).
///
/// `*_backward` methods that take `accumulate` return the gradient plus that tensor (another branch's gradient of
/// the same input), which saves a pass over memory where a residual connection joins.
pub trait Backend: backend::Backend {
    /// Bytes of activations that stay in the processor's caches from one operation to the next; none where cutting a
    /// batch into parts of that size gains nothing (accelerators, and where every activation is kept for a gradient).
    fn cache_bytes() -> Option<usize> {
        None
    }

    /// Whether tensors lie in the host's memory and are computed at once, so that to read a value costs nothing. Elsewhere a reader
    /// waits for the device: see [`crate::Scalar`].
    fn is_on_host() -> bool {
        false
    }

    /// [`crate::silu`].
    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::silu::<Self>(x)
    }

    /// Gradient of [`Backend::fused_silu`] for its input.
    fn fused_silu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::silu_backward::<Self>(x, grad)
    }

    /// [`crate::conv2d`]; `residual`, in the shape of the output, is added.
    fn fused_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        residual: Option<FloatTensor<Self>>,
        geometry: Conv2dGeometry,
    ) -> FloatTensor<Self> {
        composed::conv2d::<Self>(x, weight, bias, residual, geometry)
    }

    /// Gradients of [`Backend::fused_conv2d`] that are `wanted`; that of the residual is `grad` itself.
    fn fused_conv2d_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        accumulate: Option<FloatTensor<Self>>,
        geometry: Conv2dGeometry,
        wanted: WantedGradients,
    ) -> AffineGradients<Self> {
        composed::conv2d_backward::<Self>(x, weight, grad, accumulate, geometry, wanted)
    }

    /// [`crate::conv1x1_joined`].
    fn fused_conv1x1_joined(
        x: [FloatTensor<Self>; 2],
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        composed::conv1x1_joined::<Self>(x, weight, bias)
    }

    /// Gradients of [`Backend::fused_conv1x1_joined`] that are `wanted`, as `x` those of both inputs; `accumulate` is for them.
    fn fused_conv1x1_joined_backward(
        x: [FloatTensor<Self>; 2],
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        accumulate: [Option<FloatTensor<Self>>; 2],
        wanted: WantedGradients,
    ) -> JoinedGradients<Self> {
        composed::conv1x1_joined_backward::<Self>(x, weight, grad, accumulate, wanted)
    }

    /// [`crate::group_norm`] and its variants.
    fn fused_group_norm(x: FloatTensor<Self>, with: GroupNormOperands<Self>, spec: GroupNormSpec) -> FloatTensor<Self> {
        Self::fused_group_norm_with_stats(x, with, spec).y
    }

    /// [`Backend::fused_group_norm`] with what its gradient needs. The statistics are not differentiable.
    fn fused_group_norm_with_stats(
        x: FloatTensor<Self>,
        with: GroupNormOperands<Self>,
        spec: GroupNormSpec,
    ) -> GroupNormOutput<Self> {
        composed::group_norm::<Self>(x, with, spec)
    }

    /// Gradients of [`Backend::fused_group_norm`]; `statistics` are the mean and `rstd` of the forward pass, `accumulate` is for `x`
    /// and for a [`GroupNormExtra::Skip`](crate::GroupNormExtra::Skip).
    fn fused_group_norm_backward(
        grad: FloatTensor<Self>,
        accumulate: [Option<FloatTensor<Self>>; 2],
        x: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        with: GroupNormOperands<Self>,
        spec: GroupNormSpec,
    ) -> GroupNormGradients<Self> {
        composed::group_norm_backward::<Self>(grad, accumulate, x, statistics, with, spec)
    }

    /// [`crate::norm_conv2d`].
    fn fused_norm_conv2d(x: FloatTensor<Self>, with: NormConvOperands<Self>, spec: GroupNormSpec) -> FloatTensor<Self> {
        composed::norm_conv2d::<Self>(x, with, spec)
    }

    /// [`Backend::fused_norm_conv2d`] with the statistics of the normalisation; `None` where the gradients of its parts are to be
    /// computed instead of [`Backend::fused_norm_conv2d_backward`].
    fn fused_norm_conv2d_with_stats(
        x: FloatTensor<Self>,
        with: NormConvOperands<Self>,
        spec: GroupNormSpec,
    ) -> Option<GroupNormOutput<Self>> {
        let _ = (x, with, spec);
        None
    }

    /// Gradients of [`Backend::fused_norm_conv2d`]; `statistics` and `accumulate` as for [`Backend::fused_group_norm_backward`]. A
    /// backend has this and [`Backend::fused_norm_conv2d_with_stats`] or neither, and is asked in the same
    /// [`Precision`](crate::Precision).
    fn fused_norm_conv2d_backward(
        grad: FloatTensor<Self>,
        accumulate: [Option<FloatTensor<Self>>; 2],
        x: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        with: NormConvOperands<Self>,
        spec: GroupNormSpec,
    ) -> NormConvGradients<Self> {
        let _ = (grad, accumulate, x, statistics, with, spec);
        unreachable!("nothing was computed for this gradient")
    }

    /// [`crate::add_channel_bias`].
    fn fused_add_channel_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::add_channel_bias::<Self>(x, bias)
    }

    /// Sums over the pixels of `x: [n, c, h, w]`, `[n, c]`: the gradient of [`Backend::fused_add_channel_bias`] for
    /// its bias.
    fn fused_sum_pixels(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::sum_pixels::<Self>(x)
    }

    /// [`crate::linear`] on `x: [rows, d_in]`.
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        composed::linear::<Self>(x, weight, bias)
    }

    /// Gradients of [`Backend::fused_linear`] that are wanted.
    fn fused_linear_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        wanted: WantedGradients,
    ) -> AffineGradients<Self> {
        composed::linear_backward::<Self>(x, weight, grad, wanted)
    }

    /// [`crate::attention`].
    fn fused_attention(q: FloatTensor<Self>, k: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::attention::<Self>(q, k, v)
    }

    /// Gradients of [`Backend::fused_attention`] for `q`, `k` and `v`.
    fn fused_attention_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        composed::attention_backward::<Self>(q, k, v, grad)
    }

    /// [`crate::spatial_self_attention`].
    fn fused_spatial_self_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        composed::spatial_self_attention::<Self>(qkv, heads)
    }

    /// Gradient of [`Backend::fused_spatial_self_attention`] for `qkv`.
    fn fused_spatial_self_attention_backward(
        qkv: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        composed::spatial_self_attention_backward::<Self>(qkv, grad, heads)
    }

    /// [`crate::attention_block`].
    fn fused_attention_block(
        x: FloatTensor<Self>,
        with: AttentionBlockOperands<Self>,
        spec: AttentionBlockSpec,
    ) -> FloatTensor<Self> {
        composed::attention_block::<Self>(x, with, spec)
    }

    /// [`Backend::fused_attention_block`] with what [`Backend::fused_attention_block_backward`] needs; `None` where the gradients
    /// of its parts are to be computed instead.
    fn fused_attention_block_saving(
        x: FloatTensor<Self>,
        with: AttentionBlockOperands<Self>,
        spec: AttentionBlockSpec,
    ) -> Option<AttentionBlockOutput<Self>> {
        let _ = (x, with, spec);
        None
    }

    /// Gradients of [`Backend::fused_attention_block`]; `saved` is what [`Backend::fused_attention_block_saving`] left. A backend
    /// has both or neither.
    fn fused_attention_block_backward(
        x: FloatTensor<Self>,
        with: AttentionBlockOperands<Self>,
        spec: AttentionBlockSpec,
        saved: [FloatTensor<Self>; 3],
        grad: FloatTensor<Self>,
    ) -> AttentionBlockGradients<Self> {
        let _ = (x, with, spec, saved, grad);
        unreachable!("nothing was saved for this gradient")
    }

    /// [`crate::upsample_nearest_2x`].
    fn fused_upsample_nearest_2x(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::upsample_nearest_2x::<Self>(x)
    }

    /// Gradient of [`Backend::fused_upsample_nearest_2x`]: sums of 2×2 blocks.
    fn fused_upsample_nearest_2x_backward(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::upsample_nearest_2x_backward::<Self>(grad)
    }

    /// [`crate::upsample_conv2d`].
    fn fused_upsample_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        composed::upsample_conv2d::<Self>(x, weight, bias)
    }

    /// Gradients of [`Backend::fused_upsample_conv2d`] that are `wanted`.
    fn fused_upsample_conv2d_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        accumulate: Option<FloatTensor<Self>>,
        wanted: WantedGradients,
    ) -> AffineGradients<Self> {
        composed::upsample_conv2d_backward::<Self>(x, weight, grad, accumulate, wanted)
    }

    /// [`crate::concat_channels`].
    fn fused_concat_channels(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::concat_channels::<Self>(a, b)
    }

    /// The first `channels` channels of `x: [n, c, h, w]` and the others: the gradient of
    /// [`Backend::fused_concat_channels`].
    fn fused_split_channels(x: FloatTensor<Self>, channels: usize) -> [FloatTensor<Self>; 2] {
        composed::split_channels::<Self>(x, channels)
    }

    /// `a + b`, both of one shape: two gradients of one tensor. Not differentiable.
    fn fused_add(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::add::<Self>(a, b)
    }

    /// [`crate::adam_steps`] for gradients and what they update. Not differentiable.
    fn fused_adam_steps(
        all: Vec<(FloatTensor<Self>, AdamPrimitives<Self>)>,
        by: &AdamStep,
    ) -> Vec<AdamPrimitives<Self>> {
        composed::adam_steps::<Self>(all, by)
    }

    /// [`crate::sum_of_squares`].
    fn fused_sum_of_squares(tensors: Vec<FloatTensor<Self>>) -> f64 {
        composed::sum_of_squares::<Self>(tensors)
    }

    /// [`crate::with_node_of`].
    fn with_node_of(value: FloatTensor<Self>, leaf: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = leaf;
        value
    }
}

/// What training code asks for: an autodiff backend whose inner backend has the fused operations too, so that
/// `model.valid()` type-checks.
pub trait AutodiffBackend: Backend + backend::AutodiffBackend<InnerBackend: Backend> {}

impl<B> AutodiffBackend for B where B: Backend + backend::AutodiffBackend<InnerBackend: Backend> {}

// Burn's wgpu aliases share one type family: `Vulkan` and `Metal` are the same type, `Wgpu` has another bool type.
#[cfg(feature = "cuda")]
impl Backend for burn::backend::Cuda {}
#[cfg(feature = "rocm")]
impl Backend for burn::backend::Rocm {}
#[cfg(feature = "wgpu")]
impl Backend for burn::backend::Wgpu {}
#[cfg(feature = "vulkan")]
impl Backend for burn::backend::Vulkan {}
#[cfg(all(feature = "metal", not(feature = "vulkan")))]
impl Backend for burn::backend::Metal {}
