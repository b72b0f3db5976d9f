"""Makes the golden U-Net pipelines beside this file.

Each directory is a small, randomly initialised pipeline as diffusers writes it, with `golden.safetensors`: inputs (`sample`,
`timesteps`, `labels` or `embedding`) and what diffusers' UNet2DModel answers (`output`), in float32 on the CPU.

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0; the versions that made a file stand in its metadata.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_unet.py
"""

import pathlib
import platform
import shutil

import diffusers
import safetensors
import safetensors.torch
import torch

HERE = pathlib.Path(__file__).parent

# name: (model keys, scheduler keys, image size, timesteps, labels or "embedding" or None)
CASES = {
    # The keys of google/ddpm-cifar10-32 with fewer channels.
    "cifar": (
        dict(
            sample_size=16, in_channels=3, out_channels=3, freq_shift=1, flip_sin_to_cos=False, downsample_padding=0,
            block_out_channels=(4, 8, 8, 8), layers_per_block=2, attention_head_dim=None, norm_eps=1e-6,
            norm_num_groups=4, down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        ),
        dict(variance_type="fixed_large"),
        (16, 16), [0.0, 999.0, 500.0], None,
    ),
    # The class defaults with fewer channels, one channel, 28 -> 14 -> 7 pixels.
    "defaults": (
        dict(
            in_channels=1, out_channels=1, block_out_channels=(8, 16, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        ),
        dict(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False),
        (28, 28), [1.0, 731.0], None,
    ),
    # Scale and shift, a class table, a scaled mid block, input in [0, 1], images that are not square.
    "classes": (
        dict(
            in_channels=1, out_channels=2, block_out_channels=(8, 12), layers_per_block=1, norm_num_groups=2,
            resnet_time_scale_shift="scale_shift", num_class_embeds=5, mid_block_scale_factor=2**0.5,
            center_input_sample=True, attention_head_dim=4, act_fn="gelu", dropout=0.1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        ),
        dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="sample"),
        (8, 12), [10.0, 250.0, 900.0], [0, 4, 2],
    ),
    # Resampling by residual blocks, labels through the time features, four channels, old block names.
    "resnets": (
        dict(
            in_channels=4, out_channels=4, block_out_channels=(8, 8, 16), layers_per_block=1, norm_num_groups=4,
            downsample_type="resnet", upsample_type="resnet", class_embed_type="timestep", act_fn="mish",
            down_block_types=("UNetResAttnDownBlock2D", "ResnetDownsampleBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "ResnetUpsampleBlock2D", "AttnUpBlock2D"),
        ),
        dict(num_train_timesteps=4, trained_betas=[0.1, 0.2, 0.3, 0.4]),
        (8, 8), [3.0, 1.0], [7, 0],
    ),
    # Fourier features, no mid block, a time embedding of another length.
    "fourier": (
        dict(
            in_channels=2, out_channels=2, block_out_channels=(8, 8), layers_per_block=2, norm_num_groups=8,
            time_embedding_type="fourier", time_embedding_dim=24, mid_block_type=None, act_fn="relu",
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        ),
        dict(num_train_timesteps=50, beta_end=0.3),
        (6, 6), [0.75, 3.0], None,
    ),
    # Class embeddings from outside, a norm in the mid block's attention, heads that do not divide the channels.
    "identity": (
        dict(
            in_channels=1, out_channels=1, block_out_channels=(10, 12), layers_per_block=1, norm_num_groups=2,
            resnet_time_scale_shift="scale_shift", attn_norm_num_groups=3, class_embed_type="identity",
            attention_head_dim=5, down_block_types=("AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D"),
        ),
        dict(steps_offset=1, timestep_spacing="trailing"),
        (4, 6), [42.0, 0.0], "embedding",
    ),
}


def main():
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "safetensors": safetensors.__version__,
    }
    for seed, (name, (model, scheduler, (height, width), timesteps, labels)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        unet = diffusers.UNet2DModel(**model).eval()
        with torch.no_grad():
            for key, parameter in unet.named_parameters():
                # Norms start as the identity: move them, so that a wrong norm shows.
                if "norm" in key:
                    parameter.add_(0.3 * torch.randn_like(parameter))
        out = HERE / name
        shutil.rmtree(out, ignore_errors=True)
        pipeline = diffusers.DDPMPipeline(unet=unet, scheduler=diffusers.DDPMScheduler(**scheduler))
        pipeline.save_pretrained(out)

        sample = torch.randn(len(timesteps), model["in_channels"], height, width)
        tensors = {"sample": sample, "timesteps": torch.tensor(timesteps)}
        condition = {}
        if labels == "embedding":
            tensors["embedding"] = torch.randn(len(timesteps), 4 * model["block_out_channels"][0])
            condition["class_labels"] = tensors["embedding"]
        elif labels is not None:
            tensors["labels"] = torch.tensor(labels, dtype=torch.float32)
            condition["class_labels"] = torch.tensor(labels)
        with torch.no_grad():
            tensors["output"] = unet(sample, tensors["timesteps"], **condition).sample.contiguous()
        safetensors.torch.save_file(tensors, out / "golden.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
