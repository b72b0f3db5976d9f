"""Makes `objectives.safetensors`: 50 steps of training a learned variance in PyTorch, by `hybrid` and by `vlb`.

The network, its first weights, the optimizer and the noise are those of `make_training.py`, but the network has twice the output channels.
Data are 8-bit levels; at every fifth step the first example is at t = 1, where the loss is the discretised decoder's. The bound's terms
are computed in float64 from their definitions: two Gaussians' divergence as it stands in the papers, and differences of normal
distribution functions by `torch.special.log_ndtr`. The file holds losses, gradient norms and last weights for each of
`hybrid-learned-range`, `vlb-learned-range`, `hybrid-learned` and `vlb-learned` (NAME.losses, NAME.norms, NAME.weights.TENSOR).

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0; the versions stand in the metadata.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_objectives.py
"""

import math
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
from make_training import BATCH, CHAIN, CLIP, LEARNING_RATE, MODEL, SIDE, STEPS, WARMUP

BETA = np.linspace(1e-4, 0.02, CHAIN)
ALPHA_BAR = np.cumprod(1 - BETA)
BEFORE = np.append(1.0, ALPHA_BAR[:-1])
TILDE = BETA * (1 - BEFORE) / (1 - ALPHA_BAR)
LOG_TILDE = np.log(np.append(TILDE[1], TILDE[1:]))  # the first is 0


def at(table, t):
    return torch.from_numpy(table[t])[:, None, None, None]


def log_interval(lower, upper):
    """log(Phi(upper) - Phi(lower)), from the tail in which both lie."""
    flip = lower + upper > 0
    low, high = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    a, b = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return a + torch.log1p(-torch.exp(b - a))


def log_likelihood(x, mean, log_variance):
    scale = torch.exp(-0.5 * log_variance)
    lower, upper = (x - 1 / 255 - mean) * scale, (x + 1 / 255 - mean) * scale
    inner = log_interval(lower, upper)
    return torch.where(x < -0.999, torch.special.log_ndtr(upper), torch.where(x > 0.999, torch.special.log_ndtr(-lower), inner))


def bound(x_0, x_t, t, prediction, word, variance):
    """T L_{t-1} in bits/dim for each example."""
    high = at(np.log(BETA), t)
    if variance == "learned-range":
        fraction = (word + 1) / 2
        log_variance = fraction * high + (1 - fraction) * at(LOG_TILDE, t)
    else:
        log_variance = high + word.clamp(-10, 10)
    predicted = (x_t - at(np.sqrt(1 - ALPHA_BAR), t) * prediction) / at(np.sqrt(ALPHA_BAR), t)
    weight = at(np.sqrt(BEFORE) * BETA / (1 - ALPHA_BAR), t)
    rest = at(np.sqrt(1 - BETA) * (1 - BEFORE) / (1 - ALPHA_BAR), t) * x_t
    mean, true = weight * predicted + rest, weight * x_0 + rest
    log_tilde = at(LOG_TILDE, t)
    kl = 0.5 * (-1 + log_variance - log_tilde + torch.exp(log_tilde - log_variance) + (true - mean) ** 2 * torch.exp(-log_variance))
    decoder = -log_likelihood(x_0, mean, log_variance)
    first = torch.from_numpy(t == 0)[:, None, None, None]
    return torch.where(first, decoder, kl).mean(dim=(1, 2, 3)) * CHAIN / math.log(2)


def train(loss_name, variance):
    unet = formula.fill(diffusers.UNet2DModel(**(MODEL | {"out_channels": 2}))).train()
    optimizer = torch.optim.Adam(unet.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    shape = (BATCH, 1, SIDE, SIDE)
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        levels = torch.clamp(torch.round((formula.noise(f"x_0 {step}", shape).double() / 2 + 1) * 127.5), 0, 255)
        x_0 = levels / 127.5 - 1
        epsilon = formula.noise(f"epsilon {step}", shape)
        t = np.floor((formula.uniform(f"t {step}", BATCH) + 1) / 2 * CHAIN).astype(np.int64)
        if step % 5 == 0:
            t[0] = 0
        labels = torch.tensor([(step + i) % 3 for i in range(BATCH)])
        x_t = at(np.sqrt(ALPHA_BAR), t) * x_0 + at(np.sqrt(1 - ALPHA_BAR), t) * epsilon.double()
        prediction, word = unet(x_t.float(), torch.from_numpy(t), labels).sample.double().chunk(2, dim=1)
        if loss_name == "vlb":
            loss = bound(x_0, x_t, t, prediction, word, variance).mean()
        else:
            simple = ((prediction - epsilon.double()) ** 2).mean(dim=(1, 2, 3))
            loss = (simple + 0.001 * bound(x_0, x_t, t, prediction.detach(), word, variance)).mean()
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(unet.parameters(), CLIP)))
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / WARMUP)
        optimizer.step()
    print(f"{loss_name} {variance}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, clipped in {sum(n > CLIP for n in norms)} of {STEPS} steps")
    name = f"{loss_name}-{variance}"
    tensors = {f"{name}.weights.{key}": parameter.detach() for key, parameter in unet.named_parameters()}
    return tensors | {f"{name}.losses": torch.tensor(losses, dtype=torch.float64), f"{name}.norms": torch.tensor(norms, dtype=torch.float64)}


def main():
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "safetensors": safetensors.__version__,
    }
    tensors = {}
    for variance in ("learned-range", "learned"):
        for loss in ("hybrid", "vlb"):
            tensors |= train(loss, variance)
    tensors = {key: (value.float() if ".weights." in key else value).contiguous() for key, value in tensors.items()}
    safetensors.torch.save_file(tensors, HERE / "objectives.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
