"""Trains small diffusers models on the images that the program has inside, each in a folder beside this file.

    python train.py linear-epsilon   predictions of the noise, linear betas: diffusers' defaults
    python train.py cosine-v         v_prediction with squaredcos_cap_v2
    python train.py classes          ten classes, and an eleventh label in place of those that were dropped, for guidance

A model that is not stored has no folder, and no entry in `made.json`; make.py leaves it out. The command that stands here makes it.

PyTorch and diffusers alone: nothing of this repository but the images. The weights are the moving average, written by
`save_pretrained(variant="fp16")`. The last 100 of the 10,000 images are left out, for the scores. `made.json` says with which
versions, how long, to which loss, and has the checksums of the weights.

    OMP_NUM_THREADS=1 python train.py [NAME...]        # Python 3.11, torch 2.9.1, diffusers 0.35.2; without names all three
"""

import gzip
import hashlib
import json
import pathlib
import platform
import sys
import time

import diffusers
import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel

HERE = pathlib.Path(__file__).parent
DATA = HERE.parents[3] / "data/data/fashion-mnist-mini"
LEFT_OUT = 100
CLASSES = 10  # the null class is the label after the last
DROPPED = 0.15  # of the labels, while training
STEPS, WARMUP, BATCH, RATE, DECAY = 1800, 100, 32, 2e-3, 0.995

MODELS = {
    "linear-epsilon": dict(seed=1, scheduler={}, network={}),
    "cosine-v": dict(
        seed=2, scheduler=dict(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"), network={}
    ),
    "classes": dict(seed=3, scheduler={}, network=dict(num_class_embeds=CLASSES + 1)),
}


def images():
    """Float32 in [-1, 1], N x 1 x 28 x 28, and their classes."""
    pixels = gzip.decompress((DATA / "images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((DATA / "labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, 1, 28, 28)
    return pixels, torch.from_numpy(np.frombuffer(labels, dtype=np.uint8).astype(np.int64))


def unit(pixels):
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0)


def network(keys):
    return UNet2DModel(
        sample_size=28, in_channels=1, out_channels=1, block_out_channels=(12, 24, 24), layers_per_block=1,
        norm_num_groups=4, attention_head_dim=8, down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), **keys,
    )


def rate(step):
    """Warm-up, then half a cosine down to a twentieth."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    done = (step - WARMUP) / (STEPS - WARMUP)
    return 0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * done))


def train(name, seed, scheduler, keys):
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    pixels, labels = images()
    data, labels = unit(pixels)[:-LEFT_OUT], labels[:-LEFT_OUT]
    unet = network(keys)
    average = EMAModel(unet.parameters(), decay=DECAY)
    optimizer = torch.optim.Adam(unet.parameters(), lr=RATE)
    losses, begin = [], time.time()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate(step)
        chosen = torch.randint(len(data), (BATCH,), generator=random)
        x_0, classes = data[chosen], None
        if keys:
            dropped = torch.rand(BATCH, generator=random) < DROPPED
            classes = torch.where(dropped, CLASSES, labels[chosen])
        t = torch.randint(scheduler.config.num_train_timesteps, (BATCH,), generator=random)
        noise = torch.randn(x_0.shape, generator=random)
        target = noise
        if scheduler.config.prediction_type == "v_prediction":
            target = scheduler.get_velocity(x_0, noise, t)
        loss = ((unet(scheduler.add_noise(x_0, noise, t), t, class_labels=classes).sample - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        average.step(unet.parameters())
        losses.append(loss.item())
        if (step + 1) % 200 == 0:
            print(f"{name}: step {step + 1}, loss {np.mean(losses[-200:]):.4f}, {time.time() - begin:.0f} s", flush=True)
    average.copy_to(unet.parameters())
    return unet.eval(), float(np.mean(losses[-400:]))


def made(name, description):
    """Adds to what made.json says."""
    path = HERE / "made.json"
    all_made = json.loads(path.read_text()) if path.exists() else {}
    all_made[name] = description
    path.write_text(json.dumps(all_made, indent=1, sort_keys=True) + "\n")


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        model = MODELS[name]
        scheduler = DDPMScheduler(**model["scheduler"])
        unet, loss = train(name, model["seed"], scheduler, model["network"])
        DDPMPipeline(unet.half(), scheduler).save_pretrained(HERE / name, variant="fp16")
        weights = HERE / name / "unet/diffusion_pytorch_model.fp16.safetensors"
        made(name, {
            "seed": model["seed"], "steps": STEPS, "batch": BATCH, "parameters": sum(p.numel() for p in unet.parameters()),
            "loss_of_the_last_400_steps": loss, "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        })


if __name__ == "__main__":
    main()
