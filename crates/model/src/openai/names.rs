//! Which tensor of a checkpoint, and which part of it, a tensor of `UNet2DModel` is.

use sfumato_nets::unet::UNet2DConfig;

/// Where the numbers of a tensor are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Name in the checkpoint.
    pub(super) name: String,
    /// Part of that tensor.
    pub(super) part: Part,
}

/// A part of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// All of it, but for a last axis of length 1: a convolution over one-dimensional pixels that is a linear map.
    Linear,
    /// Queries (0), keys (1) or values (2) of an attention.
    Qkv(usize),
}

/// The counterpart of `name`, a parameter of the network that `config` describes.
///
/// Blocks are numbered through in the checkpoint: encoder blocks in `input_blocks` behind the first convolution, each level's
/// residual blocks and then its downsampling; decoder blocks in `output_blocks`, the upsampling beside a level's last.
pub(super) fn source(config: &UNet2DConfig, name: &str) -> Option<Source> {
    let path: Vec<&str> = name.split('.').collect();
    let layers = config.layers_per_block;
    let index = |text: &str| text.parse::<usize>().ok();
    let whole = |name: String| Some(Source { name, part: Part::Whole });
    match path[..] {
        ["conv_in", leaf] => whole(format!("input_blocks.0.0.{leaf}")),
        ["conv_norm_out", leaf] => whole(format!("out.0.{leaf}")),
        ["conv_out", leaf] => whole(format!("out.2.{leaf}")),
        ["time_embedding", "linear_1", leaf] => whole(format!("time_embed.0.{leaf}")),
        ["time_embedding", "linear_2", leaf] => whole(format!("time_embed.2.{leaf}")),
        ["class_embedding", leaf] => whole(format!("label_emb.{leaf}")),
        ["mid_block", "resnets", i, ref rest @ ..] => resnet(&format!("middle_block.{}", 2 * index(i)?), rest),
        ["mid_block", "attentions", "0", ref rest @ ..] => attention("middle_block.1", rest),
        ["down_blocks", level, kind, i, ref rest @ ..] => {
            let first = 1 + index(level)? * (layers + 1);
            match kind {
                "resnets" => resnet(&format!("input_blocks.{}.0", first + index(i)?), rest),
                "attentions" => attention(&format!("input_blocks.{}.1", first + index(i)?), rest),
                "downsamplers" => resample(&format!("input_blocks.{}.0", first + layers), "op", rest),
                _ => None,
            }
        }
        ["up_blocks", level, kind, i, ref rest @ ..] => {
            let level = index(level)?;
            let first = level * (layers + 1);
            match kind {
                "resnets" => resnet(&format!("output_blocks.{}.0", first + index(i)?), rest),
                "attentions" => attention(&format!("output_blocks.{}.1", first + index(i)?), rest),
                "upsamplers" => {
                    let attends =
                        config.up_block_types.get(level) == Some(&sfumato_nets::unet::UpBlockType::AttnUpBlock2D);
                    resample(&format!("output_blocks.{}.{}", first + layers, 1 + usize::from(attends)), "conv", rest)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn resnet(block: &str, rest: &[&str]) -> Option<Source> {
    let &[layer, leaf] = rest else { return None };
    let layer = match layer {
        "norm1" => "in_layers.0",
        "conv1" => "in_layers.2",
        "time_emb_proj" => "emb_layers.1",
        "norm2" => "out_layers.0",
        "conv2" => "out_layers.3",
        "conv_shortcut" => "skip_connection",
        _ => return None,
    };
    Some(Source { name: format!("{block}.{layer}.{leaf}"), part: Part::Whole })
}

fn attention(block: &str, rest: &[&str]) -> Option<Source> {
    let (layer, leaf, part) = match *rest {
        ["group_norm", leaf] => ("norm", leaf, Part::Whole),
        ["to_q", leaf] => ("qkv", leaf, Part::Qkv(0)),
        ["to_k", leaf] => ("qkv", leaf, Part::Qkv(1)),
        ["to_v", leaf] => ("qkv", leaf, Part::Qkv(2)),
        ["to_out", "0", "weight"] => ("proj_out", "weight", Part::Linear),
        ["to_out", "0", leaf] => ("proj_out", leaf, Part::Whole),
        _ => return None,
    };
    Some(Source { name: format!("{block}.{layer}.{leaf}"), part })
}

/// The end of a level: one convolution, called `conv` in one project and `op` in the other's way down, or a residual block.
fn resample(block: &str, conv: &str, rest: &[&str]) -> Option<Source> {
    match *rest {
        ["conv", leaf] => Some(Source { name: format!("{block}.{conv}.{leaf}"), part: Part::Whole }),
        _ => resnet(block, rest),
    }
}

/// Rows of `qkv` that hold queries (0), keys (1) or values (2), in the order of the heads.
///
/// In the new order all queries come first, then keys, then values; in the old one each head's three lie together.
pub(super) fn qkv_rows(part: usize, channels: usize, heads: usize, new_order: bool) -> Vec<usize> {
    if new_order {
        return (part * channels..(part + 1) * channels).collect();
    }
    let dim = channels / heads;
    (0..heads).flat_map(|head| (3 * head + part) * dim..(3 * head + part + 1) * dim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_old_order_alternate_between_heads() {
        assert_eq!(qkv_rows(0, 4, 2, false), [0, 1, 6, 7]);
        assert_eq!(qkv_rows(1, 4, 2, false), [2, 3, 8, 9]);
        assert_eq!(qkv_rows(2, 4, 2, false), [4, 5, 10, 11]);
        assert_eq!(qkv_rows(1, 4, 2, true), [4, 5, 6, 7]);
        // With one head the orders agree.
        assert_eq!(qkv_rows(2, 4, 1, false), qkv_rows(2, 4, 1, true));
    }
}
