"""Bits/dim of a small model with a learned variance by numpy in float64, from the published formulas.

Makes `model-learned/` and `expected-learned.json`; images and noise are those of `make.py`. The network is trained for a moment by the
hybrid loss, so that its variances are neither end of their range.

Formulas: as in `make.py`, and Nichol & Dhariwal (2021), arXiv:2102.09672, Eq. 15.

    OMP_NUM_THREADS=1 python make_learned.py        # Python 3.11 or later; versions are stored with the numbers
"""

import json
import math
import platform

import diffusers
import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from make import BETA_END, BETA_START, HERE, LN_2, SIDE, T, decoder, log_interval_exact, log_interval_tanh, pictures, unit

BETAS = np.linspace(BETA_START, BETA_END, T)
ALPHA_BAR = np.cumprod(1 - BETAS)
PREVIOUS = np.append(1.0, ALPHA_BAR[:-1])
TILDE = BETAS * (1 - PREVIOUS) / (1 - ALPHA_BAR)
LOG_TILDE = np.log(np.append(TILDE[1], TILDE[1:]))
WEIGHT_0 = np.sqrt(PREVIOUS) * BETAS / (1 - ALPHA_BAR)


def train(unet, rng):
    optimizer = torch.optim.Adam(unet.parameters(), lr=2e-3)
    at = lambda table, t: torch.from_numpy(table[t])[:, None, None, None]
    for _ in range(600):
        x_0 = torch.from_numpy(unit(pictures(32, rng)))
        t = rng.integers(1, T, 32)  # the divergences are enough to move the variances
        noise = torch.from_numpy(rng.standard_normal(x_0.shape))
        x_t = at(np.sqrt(ALPHA_BAR), t) * x_0 + at(np.sqrt(1 - ALPHA_BAR), t) * noise
        output, word = unet(x_t.float(), torch.from_numpy(t)).sample.double().chunk(2, dim=1)
        fraction = (word + 1) / 2
        log_variance = fraction * at(np.log(BETAS), t) + (1 - fraction) * at(LOG_TILDE, t)
        predicted = (x_t - at(np.sqrt(1 - ALPHA_BAR), t) * output.detach()) / at(np.sqrt(ALPHA_BAR), t)
        square = (at(WEIGHT_0, t) * (x_0 - predicted)) ** 2
        kl = 0.5 * (-1 + log_variance - at(LOG_TILDE, t) + torch.exp(at(LOG_TILDE, t) - log_variance) + square * torch.exp(-log_variance))
        loss = ((output - noise) ** 2).mean() + 0.01 * kl.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("loss", loss.item(), "fraction", fraction.min().item(), fraction.max().item())


def bound(unet, x_0, noise, log_interval):
    """Terms in bits/dim, means over the examples: prior, L_0, ..., L_(T-1)."""
    dimensions = x_0[0].size
    terms = []
    for i in range(T):
        x_t = np.sqrt(ALPHA_BAR[i]) * x_0 + np.sqrt(1 - ALPHA_BAR[i]) * noise[i]
        with torch.no_grad():
            epsilon, word = unet(torch.from_numpy(x_t), torch.full((len(x_0),), i)).sample.numpy().reshape(len(x_0), 2, 1, SIDE, SIDE).swapaxes(0, 1)
        fraction = (word + 1) / 2
        log_variance = fraction * np.log(BETAS[i]) + (1 - fraction) * LOG_TILDE[i]
        predicted = np.clip((x_t - np.sqrt(1 - ALPHA_BAR[i]) * epsilon) / np.sqrt(ALPHA_BAR[i]), -1.0, 1.0)
        if i == 0:
            each = lambda x, m, v: sum(decoder(a, b, c, log_interval) for a, b, c in zip(x.ravel(), m.ravel(), v.ravel()))
            nats = [each(x, m, v) for x, m, v in zip(x_0, predicted, log_variance)]
        else:
            weight_t = np.sqrt(1 - BETAS[i]) * (1 - PREVIOUS[i]) / (1 - ALPHA_BAR[i])
            mean_1, mean_2 = (WEIGHT_0[i] * x + weight_t * x_t for x in (x_0, predicted))
            kl = 0.5 * (-1.0 + log_variance - LOG_TILDE[i] + np.exp(LOG_TILDE[i] - log_variance) + (mean_1 - mean_2) ** 2 * np.exp(-log_variance))
            nats = kl.reshape(len(x_0), -1).sum(1)
        terms.append(np.asarray(nats) / dimensions / LN_2)
    prior = 0.5 * (ALPHA_BAR[-1] * x_0**2 + (1 - ALPHA_BAR[-1]) - 1 - np.log(1 - ALPHA_BAR[-1]))
    prior = prior.reshape(len(x_0), -1).mean(1) / LN_2
    total = prior + sum(terms)
    return {
        "total": total.mean(),
        "standard_error": total.std(ddof=1) / math.sqrt(len(total)),
        "prior": prior.mean(),
        "terms": [term.mean() for term in terms],
    }


def main():
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    scheduler = DDPMScheduler(T, beta_start=BETA_START, beta_end=BETA_END, beta_schedule="linear", variance_type="learned_range")
    unet = UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=2, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        attention_head_dim=8, down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    train(unet, rng)
    DDPMPipeline(unet, scheduler).save_pretrained(HERE / "model-learned")
    unet = UNet2DModel.from_pretrained(HERE / "model-learned" / "unet").double().eval()
    images, noise = unit(np.load(HERE / "images.npy")), np.load(HERE / "noise.npy").astype(np.float64)
    cdfs = {"tanh": log_interval_tanh, "exact": log_interval_exact}
    results = {f"learned_range/{cdf}": bound(unet, images, noise, interval) for cdf, interval in cdfs.items()}
    versions = {
        "python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__, "diffusers": diffusers.__version__,
    }
    (HERE / "expected-learned.json").write_text(json.dumps({"versions": versions, "bits_per_dim": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
