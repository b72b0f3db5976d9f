//! Flex and NdArray: tensors in host memory are lent to the slice kernels of [`sfumato_cpu`].
//!
//! Every function returns `None` where a tensor is not f32; the caller then composes the operation of Burn's own.

mod attention_block;
mod bridge;
mod conv2d;
mod elementwise;
pub(crate) mod filters;
mod group_norm;
mod joined;
mod matrix;
mod norm_conv;
mod optimizer;
mod upsample_conv;

use crate::ops::{AdamStep, AttentionBlockSpec, Conv2dGeometry, GroupNormSpec};
use crate::{
    AdamPrimitives, AffineGradients, AttentionBlockGradients, AttentionBlockOperands, AttentionBlockOutput, Backend,
    GroupNormGradients, GroupNormOperands, GroupNormOutput, JoinedGradients, NormConvGradients, NormConvOperands,
    WantedGradients, composed,
};
use burn::tensor::ops::FloatTensor;

type Float<B> = FloatTensor<B>;

/// Input and output of one operation that a core's share of the caches holds. Measured on two cores with 1 MiB of L2 each and
/// 32 MiB of L3 in common (`sfumato-bench evaluate small`): 64 images take 1 to 8 % less time in two parts, whose widest operation has
/// 12.8 MB, than in four, and 6 % less than at once.
const CACHE_BYTES_PER_THREAD: usize = 7 << 20;

macro_rules! host_backend {
    ($backend:ty) => {
        impl Backend for $backend {
            fn cache_bytes() -> Option<usize> {
                Some(rayon::current_num_threads() * CACHE_BYTES_PER_THREAD)
            }

            fn is_on_host() -> bool {
                true
            }

            fn fused_silu(x: Float<Self>) -> Float<Self> {
                elementwise::silu(&x).unwrap_or_else(|| composed::silu::<Self>(x))
            }

            fn fused_silu_backward(x: Float<Self>, grad: Float<Self>) -> Float<Self> {
                elementwise::silu_backward(&x, &grad).unwrap_or_else(|| composed::silu_backward::<Self>(x, grad))
            }

            fn fused_conv2d(
                x: Float<Self>,
                weight: Float<Self>,
                bias: Option<Float<Self>>,
                residual: Option<Float<Self>>,
                geometry: Conv2dGeometry,
            ) -> Float<Self> {
                conv2d::conv2d(&x, &weight, bias.as_ref(), residual.as_ref(), geometry)
                    .unwrap_or_else(|| composed::conv2d::<Self>(x, weight, bias, residual, geometry))
            }

            fn fused_conv2d_backward(
                x: Float<Self>,
                weight: Float<Self>,
                grad: Float<Self>,
                add: Option<Float<Self>>,
                geometry: Conv2dGeometry,
                wanted: WantedGradients,
            ) -> AffineGradients<Self> {
                conv2d::conv2d_backward::<_, Self>(&x, &weight, &grad, add.as_ref(), geometry, wanted)
                    .unwrap_or_else(|| composed::conv2d_backward::<Self>(x, weight, grad, add, geometry, wanted))
            }

            fn fused_conv1x1_joined(
                x: [Float<Self>; 2],
                weight: Float<Self>,
                bias: Option<Float<Self>>,
            ) -> Float<Self> {
                joined::conv1x1([&x[0], &x[1]], &weight, bias.as_ref())
                    .unwrap_or_else(|| composed::conv1x1_joined::<Self>(x, weight, bias))
            }

            fn fused_conv1x1_joined_backward(
                x: [Float<Self>; 2],
                weight: Float<Self>,
                grad: Float<Self>,
                add: [Option<Float<Self>>; 2],
                wanted: WantedGradients,
            ) -> JoinedGradients<Self> {
                joined::conv1x1_backward::<_, Self>(&x, &weight, &grad, &add, wanted)
                    .unwrap_or_else(|| composed::conv1x1_joined_backward::<Self>(x, weight, grad, add, wanted))
            }

            fn fused_group_norm_with_stats(
                x: Float<Self>,
                with: GroupNormOperands<Self>,
                spec: GroupNormSpec,
            ) -> GroupNormOutput<Self> {
                group_norm::group_norm::<_, Self>(&x, &with, spec)
                    .unwrap_or_else(|| composed::group_norm::<Self>(x, with, spec))
            }

            fn fused_group_norm_backward(
                grad: Float<Self>,
                add: [Option<Float<Self>>; 2],
                x: Float<Self>,
                statistics: [Float<Self>; 2],
                with: GroupNormOperands<Self>,
                spec: GroupNormSpec,
            ) -> GroupNormGradients<Self> {
                group_norm::group_norm_backward::<_, Self>(&grad, &add, &x, &statistics, &with, spec)
                    .unwrap_or_else(|| composed::group_norm_backward::<Self>(grad, add, x, statistics, with, spec))
            }

            fn fused_norm_conv2d(x: Float<Self>, with: NormConvOperands<Self>, spec: GroupNormSpec) -> Float<Self> {
                norm_conv::norm_conv2d::<_, Self>(&x, &with, spec)
                    .map(|out| out.y)
                    .unwrap_or_else(|| composed::norm_conv2d::<Self>(x, with, spec))
            }

            fn fused_norm_conv2d_with_stats(
                x: Float<Self>,
                with: NormConvOperands<Self>,
                spec: GroupNormSpec,
            ) -> Option<GroupNormOutput<Self>> {
                norm_conv::norm_conv2d::<_, Self>(&x, &with, spec)
            }

            fn fused_norm_conv2d_backward(
                grad: Float<Self>,
                add: [Option<Float<Self>>; 2],
                x: Float<Self>,
                statistics: [Float<Self>; 2],
                with: NormConvOperands<Self>,
                spec: GroupNormSpec,
            ) -> NormConvGradients<Self> {
                norm_conv::norm_conv2d_backward::<_, Self>(&grad, &add, &x, &statistics, &with, spec)
                    .expect("what was computed from f32 is f32")
            }

            fn fused_add_channel_bias(x: Float<Self>, bias: Float<Self>) -> Float<Self> {
                elementwise::add_channel_bias(&x, &bias).unwrap_or_else(|| composed::add_channel_bias::<Self>(x, bias))
            }

            fn fused_sum_pixels(x: Float<Self>) -> Float<Self> {
                elementwise::sum_pixels(&x).unwrap_or_else(|| composed::sum_pixels::<Self>(x))
            }

            fn fused_linear(x: Float<Self>, weight: Float<Self>, bias: Option<Float<Self>>) -> Float<Self> {
                matrix::linear(&x, &weight, bias.as_ref()).unwrap_or_else(|| composed::linear::<Self>(x, weight, bias))
            }

            fn fused_linear_backward(
                x: Float<Self>,
                weight: Float<Self>,
                grad: Float<Self>,
                wanted: WantedGradients,
            ) -> AffineGradients<Self> {
                matrix::linear_backward::<_, Self>(&x, &weight, &grad, wanted)
                    .unwrap_or_else(|| composed::linear_backward::<Self>(x, weight, grad, wanted))
            }

            fn fused_attention(q: Float<Self>, k: Float<Self>, v: Float<Self>) -> Float<Self> {
                matrix::attention(&q, &k, &v).unwrap_or_else(|| composed::attention::<Self>(q, k, v))
            }

            fn fused_attention_backward(
                q: Float<Self>,
                k: Float<Self>,
                v: Float<Self>,
                grad: Float<Self>,
            ) -> [Float<Self>; 3] {
                matrix::attention_backward(&q, &k, &v, &grad)
                    .unwrap_or_else(|| composed::attention_backward::<Self>(q, k, v, grad))
            }

            fn fused_spatial_self_attention(qkv: Float<Self>, heads: usize) -> Float<Self> {
                matrix::self_attention(&qkv, heads)
                    .unwrap_or_else(|| composed::spatial_self_attention::<Self>(qkv, heads))
            }

            fn fused_spatial_self_attention_backward(qkv: Float<Self>, grad: Float<Self>, heads: usize) -> Float<Self> {
                matrix::self_attention_backward(&qkv, &grad, heads)
                    .unwrap_or_else(|| composed::spatial_self_attention_backward::<Self>(qkv, grad, heads))
            }

            fn fused_attention_block(
                x: Float<Self>,
                with: AttentionBlockOperands<Self>,
                spec: AttentionBlockSpec,
            ) -> Float<Self> {
                attention_block::attention_block::<_, Self>(&x, &with, spec)
                    .unwrap_or_else(|| composed::attention_block::<Self>(x, with, spec))
            }

            fn fused_attention_block_saving(
                x: Float<Self>,
                with: AttentionBlockOperands<Self>,
                spec: AttentionBlockSpec,
            ) -> Option<AttentionBlockOutput<Self>> {
                attention_block::attention_block_saving::<_, Self>(&x, &with, spec)
            }

            fn fused_attention_block_backward(
                x: Float<Self>,
                with: AttentionBlockOperands<Self>,
                spec: AttentionBlockSpec,
                saved: [Float<Self>; 3],
                grad: Float<Self>,
            ) -> AttentionBlockGradients<Self> {
                attention_block::attention_block_backward::<_, Self>(&x, &with, spec, &saved, &grad)
                    .expect("what was computed from f32 and saved is f32")
            }

            fn fused_upsample_nearest_2x(x: Float<Self>) -> Float<Self> {
                elementwise::upsample_nearest_2x(&x).unwrap_or_else(|| composed::upsample_nearest_2x::<Self>(x))
            }

            fn fused_upsample_nearest_2x_backward(grad: Float<Self>) -> Float<Self> {
                elementwise::upsample_nearest_2x_backward(&grad)
                    .unwrap_or_else(|| composed::upsample_nearest_2x_backward::<Self>(grad))
            }

            fn fused_upsample_conv2d(x: Float<Self>, weight: Float<Self>, bias: Option<Float<Self>>) -> Float<Self> {
                upsample_conv::upsample_conv2d(&x, &weight, bias.as_ref())
                    .unwrap_or_else(|| composed::upsample_conv2d::<Self>(x, weight, bias))
            }

            fn fused_upsample_conv2d_backward(
                x: Float<Self>,
                weight: Float<Self>,
                grad: Float<Self>,
                add: Option<Float<Self>>,
                wanted: WantedGradients,
            ) -> AffineGradients<Self> {
                upsample_conv::upsample_conv2d_backward::<_, Self>(&x, &weight, &grad, add.as_ref(), wanted)
                    .unwrap_or_else(|| composed::upsample_conv2d_backward::<Self>(x, weight, grad, add, wanted))
            }

            fn fused_concat_channels(a: Float<Self>, b: Float<Self>) -> Float<Self> {
                elementwise::concat_channels(&a, &b).unwrap_or_else(|| composed::concat_channels::<Self>(a, b))
            }

            fn fused_split_channels(x: Float<Self>, channels: usize) -> [Float<Self>; 2] {
                elementwise::split_channels(&x, channels)
                    .unwrap_or_else(|| composed::split_channels::<Self>(x, channels))
            }

            fn fused_add(a: Float<Self>, b: Float<Self>) -> Float<Self> {
                elementwise::add(a, b).unwrap_or_else(|[a, b]| composed::add::<Self>(a, b))
            }

            fn fused_adam_steps(
                all: Vec<(Float<Self>, AdamPrimitives<Self>)>,
                by: &AdamStep,
            ) -> Vec<AdamPrimitives<Self>> {
                optimizer::adam_steps(all, by).unwrap_or_else(|all| composed::adam_steps::<Self>(all, by))
            }

            fn fused_sum_of_squares(tensors: Vec<Float<Self>>) -> f64 {
                optimizer::sum_of_squares(&tensors).unwrap_or_else(|| composed::sum_of_squares::<Self>(tensors))
            }
        }
    };
}

#[cfg(feature = "flex")]
host_backend!(burn::backend::Flex);
#[cfg(feature = "ndarray")]
host_backend!(burn::backend::NdArray);
#[cfg(feature = "ndarray")]
host_backend!(burn::backend::NdArray<f64>);
