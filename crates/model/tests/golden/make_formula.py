"""Makes `formula/`: what diffusers' UNet2DModel answers for configurations that span its keys.

A case is NAME.json (the keys given to diffusers, image size, timesteps, labels) and NAME.safetensors (`output`, float32, on the
CPU). Weights and inputs come from `formula.py`, so that networks of any size cost nothing here: the two published ones are
there with all their parameters.

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0; the versions that made a file stand in its metadata.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_formula.py
"""

import json
import pathlib
import platform

import diffusers
import safetensors
import safetensors.torch
import torch

import formula

HERE = pathlib.Path(__file__).parent / "formula"

# What both published networks have in common.
PUBLISHED = dict(
    _class_name="UNet2DModel", _diffusers_version="0.0.4", act_fn="silu", attention_head_dim=None, center_input_sample=False,
    downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, in_channels=3, layers_per_block=2, mid_block_scale_factor=1,
    norm_eps=1e-06, norm_num_groups=32, out_channels=3, time_embedding_type="positional",
)

# name: (model keys, image size, timesteps, labels or "embedding" or None)
CASES = {
    # google/ddpm-cifar10-32, 35.7M parameters.
    "ddpm-cifar10-32": (
        PUBLISHED | dict(
            sample_size=32, block_out_channels=[128, 256, 256, 256],
            down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        ),
        (32, 32), [500.0], None,
    ),
    # google/ddpm-cat-256, 113.7M parameters, on an image of a quarter of the side.
    "ddpm-cat-256": (
        PUBLISHED | dict(
            sample_size=256, block_out_channels=[128, 128, 256, 256, 512, 512],
            down_block_types=["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
        ),
        (64, 64), [17.0], None,
    ),
    # Every level attends, classes from a table, one channel, two heads at the first level and more below.
    "attention-everywhere": (
        dict(
            sample_size=28, in_channels=1, out_channels=1, block_out_channels=[16, 24, 32], layers_per_block=1,
            norm_num_groups=8, down_block_types=["AttnDownBlock2D"] * 3, up_block_types=["AttnUpBlock2D"] * 3,
            attention_head_dim=8, num_class_embeds=11,
        ),
        (28, 28), [0.0, 999.0], [10, 0],
    ),
    # Attention at the first level alone, one level, three layers, one group.
    "one-level": (
        dict(
            sample_size=8, in_channels=1, out_channels=1, block_out_channels=[12], layers_per_block=3, norm_num_groups=1,
            down_block_types=["AttnDownBlock2D"], up_block_types=["AttnUpBlock2D"], attention_head_dim=6, freq_shift=1,
        ),
        (8, 8), [3.0, 250.5], None,
    ),
    # No attention anywhere, not even in the middle; padding on one side; mish.
    "no-attention": (
        dict(
            sample_size=16, block_out_channels=[8, 16, 16], layers_per_block=2, norm_num_groups=4, add_attention=False,
            down_block_types=["DownBlock2D"] * 3, up_block_types=["UpBlock2D"] * 3, downsample_padding=0, act_fn="mish",
        ),
        (16, 16), [12.0, 700.0], None,
    ),
    # The structure of guided-diffusion: residual blocks change the resolution, scale and shift, heads of fixed size, a norm in the
    # middle's attention, twice the channels at the end.
    "guided": (
        dict(
            sample_size=32, out_channels=6, block_out_channels=[32, 64, 96], layers_per_block=2, downsample_type="resnet",
            upsample_type="resnet", down_block_types=["ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"], attention_head_dim=16,
            resnet_time_scale_shift="scale_shift", attn_norm_num_groups=32, num_class_embeds=7, dropout=0.1,
        ),
        (32, 32), [999.0], [6],
    ),
    # Scale and shift without a norm in the middle's attention; four channels, 64 pixels, five levels, gelu.
    "five-levels": (
        dict(
            sample_size=64, in_channels=4, out_channels=4, block_out_channels=[8, 8, 16, 16, 24], layers_per_block=1,
            norm_num_groups=4, down_block_types=["DownBlock2D"] * 3 + ["AttnDownBlock2D", "AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"],
            resnet_time_scale_shift="scale_shift", act_fn="gelu", attention_head_dim=None,
        ),
        (64, 64), [41.0], None,
    ),
    # Labels and times through Fourier features; relu; other numbers of channels in and out.
    "fourier-labels": (
        dict(
            sample_size=8, in_channels=2, out_channels=3, block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4,
            down_block_types=["AttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "AttnUpBlock2D"],
            time_embedding_type="fourier", class_embed_type="timestep", act_fn="relu", attention_head_dim=4,
        ),
        (8, 8), [0.5, 80.0], [3, 1],
    ),
    # A class vector from outside, a time embedding of its own length, inputs in [0, 1], a scaled middle, oblong images.
    "vector-oblong": (
        dict(
            sample_size=[8, 16], in_channels=1, out_channels=1, block_out_channels=[8, 16], layers_per_block=1,
            norm_num_groups=8, down_block_types=["DownBlock2D", "AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D", "UpBlock2D"], class_embed_type="identity", time_embedding_dim=40,
            center_input_sample=True, mid_block_scale_factor=1.5, attn_norm_num_groups=4, attention_head_dim=16,
            norm_eps=1e-3,
        ),
        (8, 16), [5.0, 6.0], "embedding",
    ),
    # No middle; up and down by different means; odd numbers of channels in heads; labels beside positional times.
    "mixed-resampling": (
        dict(
            sample_size=16, in_channels=3, out_channels=3, block_out_channels=[10, 20, 20], layers_per_block=1,
            norm_num_groups=5, down_block_types=["AttnDownBlock2D", "ResnetDownsampleBlock2D", "DownBlock2D"],
            up_block_types=["ResnetUpsampleBlock2D", "AttnUpBlock2D", "UpBlock2D"], downsample_type="resnet",
            upsample_type="conv", mid_block_type=None, attention_head_dim=3, class_embed_type="timestep",
            flip_sin_to_cos=False, downsample_padding=0, act_fn="swish",
        ),
        (16, 16), [1.0, 998.0], [4, 900],
    ),
    # A middle without attention but with scale and shift, wide time features, old block names.
    "old-names": (
        dict(
            sample_size=8, block_out_channels=[32, 8], layers_per_block=1, norm_num_groups=8, add_attention=False,
            down_block_types=["UNetResDownBlock2D", "UNetResAttnDownBlock2D"],
            up_block_types=["UNetResAttnUpBlock2D", "UNetResUpBlock2D"], resnet_time_scale_shift="scale_shift",
            freq_shift=-1,
        ),
        (8, 8), [333.0, 7.0], None,
    ),
}


def main():
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "safetensors": safetensors.__version__,
    }
    HERE.mkdir(exist_ok=True)
    for name, (keys, (height, width), timesteps, labels) in CASES.items():
        unet = formula.fill(diffusers.UNet2DModel.from_config(keys))
        sample = formula.noise("sample", (len(timesteps), unet.config.in_channels, height, width))
        condition = {}
        if labels == "embedding":
            dim = unet.time_embedding.linear_2.out_features
            condition["class_labels"] = formula.noise("embedding", (len(timesteps), dim))
        elif labels is not None:
            condition["class_labels"] = torch.tensor(labels)
        with torch.no_grad():
            output = unet(sample, torch.tensor(timesteps), **condition).sample.contiguous()
        case = {"config": keys, "size": [height, width], "timesteps": timesteps, "labels": labels}
        (HERE / f"{name}.json").write_text(json.dumps(case, indent=2) + "\n")
        safetensors.torch.save_file({"output": output}, HERE / f"{name}.safetensors", metadata=versions)
        count = sum(parameter.numel() for parameter in unet.parameters())
        print(f"{name:22} {count:>11} parameters, output up to {output.abs().max():.3f}, deviation {output.std():.3f}")


if __name__ == "__main__":
    main()
