"""Log-likelihoods of a small model by the probability-flow ODE, by diffusers, PyTorch and SciPy in float64.

Makes images.npy (float32, which `eval` takes as they are, without noise) and expected.json, for the model in ../bits_per_dim. Everything is written
otherwise than in the program: the signal is not scaled, the trace is that of the whole Jacobian, and every interval between two steps is solved by itself.

Formulas: Song et al. (2021), arXiv:2011.13456, Eq. 39, with the ODE of Karras et al. (2022), arXiv:2206.00364, Eq. 1 and s(t) = 1: y = x / sqrt(alpha_bar),
dy/d(ln sigma) = sigma * epsilon(x, t), whose density at y is that of x times alpha_bar^(d/2). Between steps the time is linear in ln sigma.

    OMP_NUM_THREADS=1 python reference.py        # Python 3.11 or later; versions are stored with the numbers
"""

import json
import math
import platform
import sys
from pathlib import Path

import diffusers
import numpy as np
import scipy
import torch
from diffusers import UNet2DModel
from scipy.integrate import solve_ivp

HERE = Path(__file__).parent
MODEL = HERE.parent / "bits_per_dim"
sys.path.insert(0, str(MODEL))
from make import BETA_END, BETA_START, SIDE, T, unit  # noqa: E402

D = SIDE * SIDE
ALPHA_BAR = np.cumprod(1 - np.linspace(BETA_START, BETA_END, T))
LOG_SIGMA = 0.5 * np.log((1 - ALPHA_BAR) / ALPHA_BAR)


def prediction_and_trace(unet, x, t):
    """epsilon(x, t), and the trace of its Jacobian: one row of the batch for each of its lines."""
    rows = torch.from_numpy(np.tile(x, (D, 1)).reshape(D, 1, SIDE, SIDE)).requires_grad_(True)
    output = unet(rows, torch.full((D,), t, dtype=torch.float64)).sample.reshape(D, D)
    (gradient,) = torch.autograd.grad(output.diagonal().sum(), rows)
    return output[0].detach().numpy(), gradient.reshape(D, D).diagonal().sum().item()


def log_likelihood(unet, x_0):
    """-ln p(x_0) in nats, with y = x_0 at step 1."""
    state = np.append(x_0, 0.0)
    for i in range(T - 1):
        low, high = LOG_SIGMA[i], LOG_SIGMA[i + 1]

        def slope(log_sigma, state):
            sigma = math.exp(log_sigma)
            a = 1 / math.sqrt(1 + sigma * sigma)
            epsilon, trace = prediction_and_trace(unet, a * state[:-1], i + (log_sigma - low) / (high - low))
            return np.append(sigma * epsilon, sigma * a * trace)

        solution = solve_ivp(slope, (low, high), state, method="DOP853", rtol=1e-6, atol=1e-6)
        assert solution.success
        state = solution.y[:, -1]
    a = math.sqrt(ALPHA_BAR[-1])
    x_t = a * state[:-1]
    log_prior = -0.5 * (D * math.log(2 * math.pi) + (x_t**2).sum())
    return -(log_prior + D * math.log(a) + state[-1])


def main():
    rng = np.random.default_rng(1)
    images = 0.9 * unit(np.load(MODEL / "images.npy"))[:2]
    images = (images + 0.02 * rng.standard_normal(images.shape)).astype(np.float32)
    np.save(HERE / "images.npy", images)
    unet = UNet2DModel.from_pretrained(MODEL / "model" / "unet").double().eval().requires_grad_(False)
    nats = [log_likelihood(unet, image.astype(np.float64).ravel()) for image in images]
    versions = {
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__, "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }
    (HERE / "expected.json").write_text(json.dumps({"versions": versions, "nats": nats}, indent=1) + "\n")
    print(nats)


if __name__ == "__main__":
    main()
