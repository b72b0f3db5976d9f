"""Makes `weights.json` and `weights.safetensors`: 50 steps of training in PyTorch by each weight and each density of noise levels.

A small UNet2DModel of diffusers on 8-bit levels, and the multilayer perceptron of `crates/nets` on points, in a chain of 8 steps. First
weights, data, noise and the uniform numbers that steps are drawn with come from `formula.py`, which Rust has too. What is written here
once more, from the papers and in float64: the probabilities of the steps, the memory of importance sampling, the weights and the bound.
A weight is applied where its paper has it: min-SNR to the error of what is predicted, P2 to that of the noise, the bound's and the sigmoid
one to that of x_0. `weights.safetensors` holds for each case NAME its losses (NAME.losses), its steps (NAME.t) and its last weights, one after
the other in the order of their names, without the biases of keys (NAME.weights).

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0; the versions stand in the metadata.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_weights.py
"""

import json
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
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
from make_objectives import log_likelihood

STEPS, BATCH, CHAIN, SIDE = 50, 8, 8, 4
LEARNING_RATE, WARMUP, CLIP = 1e-3, 10, 2.0
WEIGHTS = ["simple", "bound", "min-snr", "p2", "sigmoid"]
DENSITIES = ["uniform", "stratified", "importance", "log-normal", "laplace"]
PREDICTIONS = ["epsilon", "x0", "v"]
GAMMA, P2_GAMMA, P2_K, SIGMOID_K = 5.0, 1.0, 1.0, 2.0
MODEL = dict(
    sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=2,
    down_block_types=["DownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "UpBlock2D"], attention_head_dim=4,
)
MLP = dict(data_dim=2, hidden_dim=12, num_blocks=1, time_features=8)

BETA = np.linspace(0.02, 0.5, CHAIN)
ALPHA_BAR = np.cumprod(1 - BETA)
BEFORE = np.append(1.0, ALPHA_BAR[:-1])
SNR = ALPHA_BAR / (1 - ALPHA_BAR)
TILDE = BETA * (1 - BEFORE) / (1 - ALPHA_BAR)
LOG_TILDE = np.log(np.append(TILDE[1], TILDE[1:]))  # the first is 0


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear_1, self.time_emb_proj, self.linear_2 = (torch.nn.Linear(width, width) for _ in range(3))

    def forward(self, h, time):
        silu = torch.nn.functional.silu
        return h + self.linear_2(silu(self.linear_1(silu(h)) + self.time_emb_proj(time)))


class Mlp(torch.nn.Module):
    def __init__(self, outputs):
        super().__init__()
        width = MLP["hidden_dim"]
        self.linear_in = torch.nn.Linear(MLP["data_dim"], width)
        self.time_embedding = TimestepEmbedding(MLP["time_features"], width)
        self.blocks = torch.nn.ModuleList(Block(width) for _ in range(MLP["num_blocks"]))
        self.linear_out = torch.nn.Linear(width, outputs)

    def forward(self, x, t):
        silu = torch.nn.functional.silu
        features = get_timestep_embedding(t, MLP["time_features"], flip_sin_to_cos=True, downscale_freq_shift=0)
        time = silu(self.time_embedding(features))
        h = self.linear_in(x)
        for block in self.blocks:
            h = block(h, time)
        return self.linear_out(silu(h))


class Times:
    """Steps from 0, and 1 / (T p_t), for uniform numbers."""

    def __init__(self, density):
        self.density = density
        self.history = [[] for _ in range(CHAIN)]

    def probabilities(self):
        if self.density == "importance" and all(len(losses) == 10 for losses in self.history):
            p = np.sqrt([np.mean(np.square(losses)) for losses in self.history])
        elif self.density in ("log-normal", "laplace"):
            level = np.log(SNR)
            middle = (level[1:] + level[:-1]) / 2
            ends = np.concatenate([[2 * level[0] - middle[0]], middle, [2 * level[-1] - middle[-1]]])
            if self.density == "log-normal":
                below = [0.5 * (1 + math.erf((-end / 2 + 1.2) / 1.2 / math.sqrt(2))) for end in ends]  # of ln sigma
                p = np.diff(below)
            else:
                below = [0.5 * math.exp(end / 0.5) if end < 0 else 1 - 0.5 * math.exp(-end / 0.5) for end in ends]
                p = -np.diff(below)
        else:
            return np.full(CHAIN, 1 / CHAIN)
        return 0.999 * p / p.sum() + 0.001 / CHAIN

    def draw(self, u):
        if self.density == "stratified":
            u = (u[0] + np.arange(len(u)) / len(u)) % 1
        p = self.probabilities()
        t = np.searchsorted(np.cumsum(p), u, side="right").clip(0, CHAIN - 1)
        return t, 1 / (CHAIN * p[t])

    def record(self, t, losses):
        for i, loss in zip(t, losses):
            self.history[i] = (self.history[i] + [loss])[-10:]


def squared_error(weight, prediction, t, at, x_0, x_t, epsilon, output):
    """The weighted squared error of each example."""
    signal, noise = at(np.sqrt(ALPHA_BAR)), at(np.sqrt(1 - ALPHA_BAR))
    if prediction == "epsilon":
        target, noise_hat, data_hat = epsilon, output, (x_t - noise * output) / signal
    elif prediction == "x0":
        target, noise_hat, data_hat = x_0, (x_t - signal * output) / noise, output
    else:
        target, noise_hat, data_hat = signal * epsilon - noise * x_0, noise * x_t + signal * output, signal * x_t - noise * output
    mean = lambda x: (x**2).flatten(1).mean(dim=1)
    table = lambda values: torch.from_numpy(values[t])
    if weight == "simple":
        return mean(target - output)
    if weight == "min-snr":
        cut = np.minimum(SNR, GAMMA)
        return mean(target - output) * table({"epsilon": cut / SNR, "x0": cut, "v": cut / (SNR + 1)}[prediction])
    if weight == "p2":
        return mean(epsilon - noise_hat) / (P2_K + table(SNR)) ** P2_GAMMA
    fall = np.append(1 / TILDE[1], SNR[:-1] - SNR[1:]) / 2  # the first of a Gaussian decoder
    if weight == "sigmoid":
        fall = fall / (1 + np.exp(np.log(SNR) - SIGMOID_K))
    return mean(x_0 - data_hat) * table(fall)


def bound(prediction, discrete, t, at, x_0, x_t, output, word):
    """T L_{t-1} in bits/dim for each example, with a learned range."""
    signal, noise = at(np.sqrt(ALPHA_BAR)), at(np.sqrt(1 - ALPHA_BAR))
    data_hat = {
        "epsilon": lambda: (x_t - noise * output) / signal, "x0": lambda: output, "v": lambda: signal * x_t - noise * output,
    }[prediction]()
    fraction, log_tilde = (word + 1) / 2, at(LOG_TILDE)
    log_variance = fraction * at(np.log(BETA)) + (1 - fraction) * log_tilde
    weight = at(np.sqrt(BEFORE) * BETA / (1 - ALPHA_BAR))
    rest = at(np.sqrt(1 - BETA) * (1 - BEFORE) / (1 - ALPHA_BAR)) * x_t
    mean, true = weight * data_hat + rest, weight * x_0 + rest
    kl = 0.5 * (-1 + log_variance - log_tilde + torch.exp(log_tilde - log_variance) + (true - mean) ** 2 * torch.exp(-log_variance))
    if discrete:
        decoder = -log_likelihood(x_0, mean, log_variance)
    else:
        decoder = 0.5 * (math.log(2 * math.pi) + log_variance + (x_0 - mean) ** 2 * torch.exp(-log_variance))
    first = at((np.arange(CHAIN) == 0)) > 0
    return torch.where(first, decoder, kl).flatten(1).mean(dim=1) * CHAIN / math.log(2)


def train(network, weight, density, prediction, learned):
    outputs = 2 if learned else 1
    if network == "unet":
        net, shape = diffusers.UNet2DModel(**(MODEL | {"out_channels": outputs})), (BATCH, 1, SIDE, SIDE)
    else:
        net, shape = Mlp(outputs * MLP["data_dim"]), (BATCH, MLP["data_dim"])
    net = formula.fill(net).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    times = Times(density)
    losses, steps = [], []
    for step in range(1, STEPS + 1):
        x_0 = formula.noise(f"levels x_0 {step}", shape).double() / 2
        if network == "unet":
            x_0 = torch.clamp(torch.round((x_0 + 1) * 127.5), 0, 255) / 127.5 - 1
        epsilon = formula.noise(f"levels epsilon {step}", shape).double()
        t, correction = times.draw((formula.uniform(f"levels t {step}", BATCH) + 1) / 2)
        at = lambda table: torch.from_numpy(table[t] * 1.0).reshape([-1] + [1] * (len(shape) - 1))
        x_t = at(np.sqrt(ALPHA_BAR)) * x_0 + at(np.sqrt(1 - ALPHA_BAR)) * epsilon
        output = net(x_t.float(), torch.from_numpy(t))
        output = (output.sample if network == "unet" else output).double()
        output, word = output.chunk(2, dim=1) if learned else (output, None)
        if weight == "vlb":
            each = bound(prediction, network == "unet", t, at, x_0, x_t, output, word)
        else:
            each = squared_error(weight, prediction, t, at, x_0, x_t, epsilon, output)
            if learned:
                each = each + 0.001 * bound(prediction, network == "unet", t, at, x_0, x_t, output.detach(), word)
        loss = (each * torch.from_numpy(correction)).mean()
        times.record(t, each.tolist())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        losses.append(loss.item())
        steps.append(torch.from_numpy(t + 1))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / WARMUP)
        optimizer.step()
    name = f"{network}/{weight}/{density}/{prediction}/{'learned-range' if learned else 'fixed-small'}"
    print(f"{name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, steps {np.bincount(np.concatenate(steps) - 1, minlength=CHAIN).tolist()}")
    kept = sorted((name, parameter) for name, parameter in net.named_parameters() if not name.endswith("to_k.bias"))
    return {
        f"{name}.losses": torch.tensor(losses),
        f"{name}.t": torch.stack(steps).float(),
        f"{name}.weights": torch.cat([parameter.detach().flatten() for _, parameter in kept]),
    }


def cases():
    """Every weight with every prediction, for both networks; every weight with every density, over both; and the bound with every density."""
    for network, first in (("unet", 0), ("mlp", 3)):
        for w, weight in enumerate(WEIGHTS):
            for p, prediction in enumerate(PREDICTIONS):
                yield network, weight, DENSITIES[(w + p + first) % 5], prediction, (w + p) % 2 == 1
    for d, density in enumerate(DENSITIES):
        yield "mlp", "vlb", density, PREDICTIONS[d % 3], True


def main():
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "safetensors": safetensors.__version__,
    }
    torch.set_num_threads(1)
    tensors = {}
    for case in cases():
        tensors |= train(*case)
    safetensors.torch.save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / "weights.safetensors", metadata=versions)
    (HERE / "weights.json").write_text(json.dumps(MODEL, indent=2) + "\n")


if __name__ == "__main__":
    main()
