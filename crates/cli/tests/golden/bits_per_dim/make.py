"""Bits/dim of a small model by numpy in float64, from the published formulas.

Makes everything beside it: a diffusers pipeline (model/), images (images.npy, uint8), noise (noise.npy, float32) and the numbers
that `sfumato eval` must find (expected.json). The network is trained for a moment, so that its predictions are no nonsense; from
then on all is float64: the network by diffusers and PyTorch, the bound by numpy and the standard library.

Formulas: Ho et al. (2020), arXiv:2006.11239, Eqs. 5 to 13; the tanh approximation and its floor as in the code of DDPM and of
Nichol & Dhariwal (2021).

    OMP_NUM_THREADS=1 python make.py        # Python 3.11 or later; versions are stored with the numbers
"""

import json
import math
import platform
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

HERE = Path(__file__).parent
T, N, SIDE = 12, 3, 8
BETA_START, BETA_END = 0.0005, 0.4
LN_2 = math.log(2.0)


def pictures(count, rng):
    """Grey squares on grey ground, with both ends of the scale."""
    images = np.zeros((count, 1, SIDE, SIDE), dtype=np.uint8)
    for image in images:
        image[:] = rng.choice([0, 40, 255])
        x, y = rng.integers(0, SIDE - 3, 2)
        image[0, y : y + 4, x : x + 4] = rng.integers(0, 256)
    return images


def unit(images):
    return images.astype(np.float64) / 127.5 - 1.0


def train(unet, alpha_bar, rng):
    optimizer = torch.optim.Adam(unet.parameters(), lr=2e-3)
    for _ in range(600):
        x_0 = torch.from_numpy(unit(pictures(32, rng)).astype(np.float32))
        t = torch.from_numpy(rng.integers(0, T, 32))
        noise = torch.from_numpy(rng.standard_normal(x_0.shape, dtype=np.float32))
        a = torch.from_numpy(alpha_bar[t.numpy()].astype(np.float32)).reshape(-1, 1, 1, 1)
        loss = ((unet(a.sqrt() * x_0 + (1 - a).sqrt() * noise, t).sample - noise) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("loss", loss.item())


def log_interval_exact(lower, upper):
    """log(Phi(upper) - Phi(lower)) by erfc on the side where it is small."""
    if lower > 0:
        lower, upper = -upper, -lower
    phi = lambda u: 0.5 * math.erfc(-u / math.sqrt(2.0))
    return math.log(phi(upper) - phi(lower))


def log_interval_tanh(lower, upper):
    phi = lambda u: 1.0 if u == math.inf else 0.0 if u == -math.inf else 0.5 * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (u + 0.044715 * u**3)))
    return math.log(max(phi(upper) - phi(lower), 1e-12))


def decoder(x_0, mean, log_variance, log_interval):
    scale = math.exp(-0.5 * log_variance)
    total = 0.0
    for x, m in zip(x_0.ravel(), mean.ravel()):
        c = x - m
        upper = math.inf if x > 0.999 else scale * (c + 1 / 255)
        lower = -math.inf if x < -0.999 else scale * (c - 1 / 255)
        total -= log_interval(lower, upper)
    return total


def bound(unet, x_0, noise, betas, variance, log_interval):
    """Terms in bits/dim, means over the examples: prior, L_0, ..., L_(T-1)."""
    alpha_bar = np.cumprod(1 - betas)
    previous = np.append(1.0, alpha_bar[:-1])
    beta_tilde = betas * (1 - previous) / (1 - alpha_bar)
    log_beta_tilde = np.log(np.append(beta_tilde[1], beta_tilde[1:]))
    log_variance = log_beta_tilde if variance == "fixed_small" else np.log(np.append(beta_tilde[1], betas[1:]))
    dimensions = x_0[0].size
    terms = []
    for i in range(T):
        x_t = np.sqrt(alpha_bar[i]) * x_0 + np.sqrt(1 - alpha_bar[i]) * noise[i]
        with torch.no_grad():
            t = torch.full((len(x_0),), i)
            epsilon = unet(torch.from_numpy(x_t), t).sample.numpy()
        predicted = np.clip((x_t - np.sqrt(1 - alpha_bar[i]) * epsilon) / np.sqrt(alpha_bar[i]), -1.0, 1.0)
        if i == 0:
            nats = [decoder(x, m, log_variance[0], log_interval) for x, m in zip(x_0, predicted)]
        else:
            weight_0 = np.sqrt(previous[i]) * betas[i] / (1 - alpha_bar[i])
            weight_t = np.sqrt(1 - betas[i]) * (1 - previous[i]) / (1 - alpha_bar[i])
            mean_1, mean_2 = (weight_0 * x + weight_t * x_t for x in (x_0, predicted))
            lv_1, lv_2 = log_beta_tilde[i], log_variance[i]
            kl = 0.5 * (-1.0 + lv_2 - lv_1 + np.exp(lv_1 - lv_2) + (mean_1 - mean_2) ** 2 * np.exp(-lv_2))
            nats = kl.reshape(len(x_0), -1).sum(1)
        terms.append(np.asarray(nats) / dimensions / LN_2)
    prior = 0.5 * (alpha_bar[-1] * x_0**2 + (1 - alpha_bar[-1]) - 1 - np.log(1 - alpha_bar[-1]))
    prior = prior.reshape(len(x_0), -1).mean(1) / LN_2
    total = prior + sum(terms)
    return {
        "total": total.mean(),
        "standard_error": total.std(ddof=1) / math.sqrt(len(total)),
        "prior": prior.mean(),
        "terms": [term.mean() for term in terms],
    }


def main():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    scheduler = DDPMScheduler(T, beta_start=BETA_START, beta_end=BETA_END, beta_schedule="linear", variance_type="fixed_small")
    unet = UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        attention_head_dim=8, down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    betas = np.linspace(BETA_START, BETA_END, T)
    train(unet, np.cumprod(1 - betas), rng)
    DDPMPipeline(unet, scheduler).save_pretrained(HERE / "model")
    images = pictures(N, rng)
    noise = rng.standard_normal((T, N, 1, SIDE, SIDE), dtype=np.float32)
    np.save(HERE / "images.npy", images)
    np.save(HERE / "noise.npy", noise)
    unet = UNet2DModel.from_pretrained(HERE / "model" / "unet").double().eval()
    cdfs = {"tanh": log_interval_tanh, "exact": log_interval_exact}
    results = {
        f"{variance}/{cdf}": bound(unet, unit(images), noise.astype(np.float64), betas, variance, interval)
        for variance in ("fixed_small", "fixed_large")
        for cdf, interval in cdfs.items()
    }
    versions = {
        "python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__, "diffusers": diffusers.__version__,
    }
    (HERE / "expected.json").write_text(json.dumps({"versions": versions, "bits_per_dim": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
