"""Makes `training.json` and `training.safetensors`: 50 steps of training in PyTorch.

A small UNet2DModel of diffusers, Adam, gradients clipped by their global norm, a learning rate that warms up, and a moving average of the
weights, as in `sfumato train`. First weights, data, noise and times come from `formula.py`, which Rust has too; the files hold the
configuration, and losses, gradient norms, last weights (`weights.NAME`) and their average (`average.NAME`).

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0; the versions stand in the metadata.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_training.py
"""

import json
import pathlib
import platform
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "model/tests/golden"))

import diffusers
import formula
import numpy as np
import safetensors
import safetensors.torch
import torch

STEPS, BATCH, SIDE, CHAIN = 50, 4, 8, 1000
LEARNING_RATE, WARMUP, CLIP, DECAY = 1e-3, 10, 2.0, 0.999

MODEL = dict(
    sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4,
    down_block_types=["DownBlock2D", "AttnDownBlock2D"], up_block_types=["AttnUpBlock2D", "UpBlock2D"], attention_head_dim=8,
    num_class_embeds=3,
)


def main():
    unet = formula.fill(diffusers.UNet2DModel(**MODEL)).train()
    average = {name: parameter.detach().clone() for name, parameter in unet.named_parameters()}
    optimizer = torch.optim.Adam(unet.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, CHAIN))
    shape = (BATCH, 1, SIDE, SIDE)
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        x_0 = formula.noise(f"x_0 {step}", shape) / 2
        epsilon = formula.noise(f"epsilon {step}", shape)
        # Uniform in 0..T-1, as diffusers counts.
        t = np.floor((formula.uniform(f"t {step}", BATCH) + 1) / 2 * CHAIN).astype(np.int64)
        labels = torch.tensor([(step + i) % 3 for i in range(BATCH)])
        signal, noise = (torch.from_numpy(np.sqrt(c).astype(np.float32))[:, None, None, None] for c in (alpha_bar[t], 1 - alpha_bar[t]))
        prediction = unet(signal * x_0 + noise * epsilon, torch.from_numpy(t), labels).sample
        loss = torch.nn.functional.mse_loss(prediction, epsilon)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(unet.parameters(), CLIP)))
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / WARMUP)
        optimizer.step()
        decay = min(DECAY, step / (9 + step))
        for name, parameter in unet.named_parameters():
            average[name].mul_(decay).add_(parameter.detach(), alpha=1 - decay)

    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, clipped in {sum(n > CLIP for n in norms)} of {STEPS} steps")
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "safetensors": safetensors.__version__,
    }
    tensors = {f"weights.{name}": parameter.detach() for name, parameter in unet.named_parameters()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    tensors |= {"losses": torch.tensor(losses), "norms": torch.tensor(norms)}
    safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "training.safetensors", metadata=versions)
    (HERE / "training.json").write_text(json.dumps(MODEL, indent=2) + "\n")


if __name__ == "__main__":
    main()
