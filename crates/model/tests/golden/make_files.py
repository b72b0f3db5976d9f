"""Makes `files/`: one small U-Net in every layout in which diffusers keeps weights.

`fp16` is a variant in half precision, `bf16` has bfloat16 under the usual name, `sharded` and `sharded-fp16` are several files behind an index,
`flat` is a model without a pipeline whose attention layers have the names of diffusers 0.0.4. `outputs.safetensors` holds what
diffusers answers with the weights of each, loaded by its own `from_pretrained` and widened to float32, at timestep 100 for
the input `sample` of `formula.py`.

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0; the versions stand in the metadata of the outputs.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_files.py
"""

import pathlib
import platform
import shutil

import diffusers
import safetensors
import safetensors.torch
import torch

import formula

HERE = pathlib.Path(__file__).parent / "files"
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def unet():
    return formula.fill(diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    ))


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    scheduler = diffusers.DDPMScheduler()
    diffusers.DDPMPipeline(unet().half(), scheduler).save_pretrained(HERE / "fp16", variant="fp16")
    diffusers.DDPMPipeline(unet().bfloat16(), scheduler).save_pretrained(HERE / "bf16")
    for name, network, variant in [("sharded", unet(), None), ("sharded-fp16", unet().half(), "fp16")]:
        network.save_pretrained(HERE / name / "unet", max_shard_size="20KB", variant=variant)
        scheduler.save_pretrained(HERE / name / "scheduler")
    unet().save_pretrained(HERE / "flat")
    path = HERE / "flat/diffusion_pytorch_model.safetensors"
    tensors = safetensors.torch.load_file(path)
    for new, old in OLD_NAMES.items():
        tensors = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})

    outputs = {}
    for directory in sorted(HERE.iterdir()):
        place = directory if directory.name == "flat" else directory / "unet"
        variant = "fp16" if "fp16" in directory.name else None
        network = diffusers.UNet2DModel.from_pretrained(place, variant=variant).float().eval()
        with torch.no_grad():
            outputs[directory.name] = network(formula.noise("sample", (1, 1, 8, 8)), 100).sample.contiguous()
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "safetensors": safetensors.__version__,
    }
    safetensors.torch.save_file(outputs, HERE / "outputs.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
