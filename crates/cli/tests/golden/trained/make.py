"""What diffusers makes of the trained models beside this file: samples, losses, bits/dim.

The float16 weights are loaded as float32, as the program does. Samples: the schedulers are made as users make them,
`Class.from_config(pipeline.scheduler.config)`, and saved as `save_pretrained` would; starting noise and the noise of steps are the hash
of tests/golden/samplers/make_samplers.py. Every walk is taken twice: as it is, and with network and scheduler in float64, which tells
the rounding of diffusers from ours. Losses and the bound: the network by PyTorch in float64, everything else by numpy
in float64 from the published formulas (Ho et al. 2020, arXiv:2006.11239, Eqs. 5 to 14; Nichol & Dhariwal 2021, Eq. 17).

Writes references.safetensors (final samples), references.json (cases with their scheduler_config.json, losses, bounds, versions)
and test.npz, of each class the first image that train.py has left out. Models without a folder are named and left out: `python train.py NAME`
makes one.

    OMP_NUM_THREADS=1 python make.py [GRIDS]      # with GRIDS, a directory, also a picture of 64 samples of each model
"""

import contextlib
import copy
import json
import math
import pathlib
import platform
import sys

import diffusers
import numpy as np
import safetensors.torch
import torch
from diffusers import UNet2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from PIL import Image

import train

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "bits_per_dim"), str(HERE.parents[4] / "tests/golden/samplers")]
import make_samplers as golden  # noqa: E402 (after the path)
from make import decoder, log_interval_exact  # noqa: E402 (that of bits_per_dim, which comes before this folder)

SAMPLES = 3
NULL = train.CLASSES
GUIDANCE = 2.0
LOSS_STEPS = [1, 3, 10, 30, 100, 250, 500, 750, 1000]
BOUND_STEPS = 50
FULL_CHAIN_EXAMPLES = 2
LN_2 = math.log(2.0)

# Name, class, keys, steps, arguments of `sfumato sample`.
CASES = [
    ("ddpm-50", DDPMScheduler, {}, 50, []),
    ("ddim-50", DDIMScheduler, {}, 50, []),
    ("ddim-50-eta-1", DDIMScheduler, {}, 50, ["--eta", "1"]),
    ("dpm-20-order-2", DPMSolverMultistepScheduler, {}, 20, []),
    ("dpm-20-order-3-karras", DPMSolverMultistepScheduler, dict(solver_order=3, use_karras_sigmas=True), 20, []),
    ("dpm-20-order-3", DPMSolverMultistepScheduler, dict(solver_order=3), 20, []),
    ("euler-20", EulerDiscreteScheduler, {}, 20, []),
    ("euler-20-trailing", EulerDiscreteScheduler, dict(timestep_spacing="trailing"), 20, []),
    ("heun-18", HeunDiscreteScheduler, {}, 18, []),
    ("heun-18-karras", HeunDiscreteScheduler, dict(use_karras_sigmas=True), 18, []),
]
GUIDED = ("ddpm-50", "ddim-50", "dpm-20-order-2", "heun-18")


def load(name):
    unet = UNet2DModel.from_pretrained(HERE / name / "unet", variant="fp16", torch_dtype=torch.float32).eval()
    return unet, DDPMScheduler.from_pretrained(HERE / name / "scheduler")


def predictor(unet, labels=None, guidance=1.0):
    """The network at one step; guided by two evaluations."""

    def predict(x, t):
        with torch.no_grad():
            told = unet(x, t, class_labels=labels).sample
            if guidance == 1.0:
                return told
            untold = unet(x, t, class_labels=torch.full_like(labels, NULL)).sample
            return untold + guidance * (told - untold)

    return predict


class Double:
    """A module whose float32 is float64."""

    def __init__(self, module, float64):
        self.module, self.float32 = module, float64

    def __getattr__(self, name):
        return getattr(self.module, name)


@contextlib.contextmanager
def in_float64(cls):
    """Lets a scheduler compute in float64: its module asks torch and numpy for float32 by name."""
    module, noise_of = sys.modules[cls.__module__], golden.noise
    module.torch, module.np = Double(torch, torch.float64), Double(np, np.float64)
    golden.noise = lambda entry, shape: noise_of(entry, shape).double()
    try:
        yield
    finally:
        module.torch, module.np, golden.noise = torch, np, noise_of


def samples(name, unet, scheduler, tensors):
    """Final samples of every case, and how the program is asked for them."""
    labels = torch.arange(SAMPLES) if unet.config.num_class_embeds else None
    doubled, cases = copy.deepcopy(unet).double(), []
    for case, cls, keys, steps, arguments in CASES:
        own = cls.from_config(scheduler.config, **keys)
        eta = None
        if cls is DDIMScheduler:
            eta = 1.0 if arguments else 0.0
        stochastic = cls is DDPMScheduler or eta == 1.0
        for guidance in [1.0] + [GUIDANCE] * (labels is not None and case in GUIDED):
            key = f"{name}/{case}" + ("" if guidance == 1.0 else "-guided")
            shape = (SAMPLES, 1, 28, 28)
            single = golden.run(own, predictor(unet, labels, guidance), steps, shape, eta)[-1]
            with in_float64(cls):
                again = cls.from_config(scheduler.config, **keys)
                double = golden.run(again, predictor(doubled, labels, guidance), steps, shape, eta)[-1]
            assert again.alphas_cumprod.dtype == double.dtype == torch.float64
            tensors[key], tensors[f"{key}/float64"] = single.contiguous(), double.float().contiguous()
            guided = [] if guidance == 1.0 else ["--guidance", str(guidance), "--null-class", str(NULL)]
            cases.append({
                "name": key, "model": name, "scheduler": own.to_json_string(), "entries": steps + 1 if stochastic else 1,
                "arguments": ["--steps", str(steps), *arguments, *guided],
            })
            print(key, f"{double.min():.3f} {double.max():.3f}, rounding {(single - double).abs().max():.1e}", flush=True)
    return cases


def betas_of(scheduler):
    """In float64, from the formulas."""
    T = scheduler.config.num_train_timesteps
    if scheduler.config.beta_schedule == "linear":
        return np.linspace(scheduler.config.beta_start, scheduler.config.beta_end, T)
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


def output_of(unet, x_t, t, labels):
    with torch.no_grad():
        t = torch.full((len(x_t),), t)
        return unet(torch.from_numpy(x_t), t, class_labels=labels).sample.numpy()


def epsilon_and_x_0(prediction, output, x_t, alpha_bar):
    a, b = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    if prediction == "v_prediction":
        return a * output + b * x_t, a * x_t - b * output
    return output, (x_t - b * output) / a


def noise(entry, count):
    return golden.noise(entry, (count, 1, 28, 28)).numpy().astype(np.float64)


def losses(unet, scheduler, x_0, labels):
    """The mean square of the error of the noise, of each test image at each of LOSS_STEPS; entry t of the noise belongs to step t."""
    alpha_bars = np.cumprod(1 - betas_of(scheduler))
    rows = []
    for step in LOSS_STEPS:
        epsilon, alpha_bar = noise(step, len(x_0)), alpha_bars[step - 1]
        x_t = np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * epsilon
        output = output_of(unet, x_t, step - 1, labels)
        found, _ = epsilon_and_x_0(scheduler.config.prediction_type, output, x_t, alpha_bar)
        rows.append(((found - epsilon) ** 2).mean((1, 2, 3)).tolist())
    return rows


def bound(unet, scheduler, x_0, labels, count):
    """Means over the examples in bits/dim: the chain of `count` evenly spaced steps, variance fixed_small, x_0 clipped; entry i of
    the noise belongs to the chain's step i + 1."""
    betas = betas_of(scheduler)
    times = np.rint(np.arange(count) * (len(betas) - 1) / (count - 1)).astype(int)
    alpha_bar = np.cumprod(1 - betas)[times]
    previous = np.append(1.0, alpha_bar[:-1])
    betas = 1 - alpha_bar / previous
    beta_tilde = betas * (1 - previous) / (1 - alpha_bar)
    log_variance = np.log(np.append(beta_tilde[1], beta_tilde[1:]))
    terms = []
    for i, t in enumerate(times):
        x_t = np.sqrt(alpha_bar[i]) * x_0 + np.sqrt(1 - alpha_bar[i]) * noise(i, len(x_0))
        output = output_of(unet, x_t, int(t), labels)
        _, predicted = epsilon_and_x_0(scheduler.config.prediction_type, output, x_t, alpha_bar[i])
        predicted = np.clip(predicted, -1.0, 1.0)
        if i == 0:
            nats = np.array([decoder(x, m, log_variance[0], log_interval_exact) for x, m in zip(x_0, predicted)])
        else:
            weight = np.sqrt(previous[i]) * betas[i] / (1 - alpha_bar[i])
            difference = weight * (x_0 - predicted)
            nats = 0.5 * (difference**2).reshape(len(x_0), -1).sum(1) / np.exp(log_variance[i])
        terms.append(nats / x_0[0].size / LN_2)
    prior = 0.5 * (alpha_bar[-1] * x_0**2 + (1 - alpha_bar[-1]) - 1 - np.log(1 - alpha_bar[-1]))
    prior = prior.reshape(len(x_0), -1).mean(1) / LN_2
    total = prior + sum(terms)
    return {
        "steps": count, "examples": len(x_0), "total": total.mean(),
        "standard_error": total.std(ddof=1) / math.sqrt(len(total)), "prior": prior.mean(), "decoder": terms[0].mean(),
        "diffusion": sum(terms[1:]).mean(),
    }


def present():
    """The models that have a folder; the others are named."""
    there = [name for name in train.MODELS if (HERE / name).is_dir()]
    for name in train.MODELS:
        if name not in there:
            print(f"{name}: left out, since there is no folder {name}; python train.py {name} makes it", flush=True)
    return there


def grid(folder, name, unet, scheduler):
    labels = torch.arange(64) % train.CLASSES if unet.config.num_class_embeds else None
    random = torch.Generator().manual_seed(0)
    scheduler.set_timesteps(50)
    x = torch.randn(64, 1, 28, 28, generator=random)
    for t in scheduler.timesteps:
        x = scheduler.step(predictor(unet, labels)(x, t), t, x, generator=random).prev_sample
    pixels = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).reshape(8, 8, 28, 28).permute(0, 2, 1, 3)
    Image.fromarray(pixels.reshape(224, 224).numpy()).resize((672, 672)).save(folder / f"{name}.png")


def main():
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    pixels, labels = train.images()
    pixels, labels = pixels[-train.LEFT_OUT :], labels[-train.LEFT_OUT :]
    first = [int((labels == k).nonzero()[0]) for k in range(train.CLASSES)]
    pixels, labels = pixels[first], labels[first]
    np.savez_compressed(HERE / "test.npz", images=pixels, labels=labels.numpy().astype(np.uint8))
    x_0 = pixels.astype(np.float64) / 127.5 - 1.0
    tensors, cases, scores, models = {}, [], {}, present()
    for name in models if len(sys.argv) > 1 else ():
        grid(pathlib.Path(sys.argv[1]), name, *load(name))  # before the samples, which have noise of their own
    for name in models:
        unet, scheduler = load(name)
        cases += samples(name, unet, scheduler, tensors)
        unet = unet.double()
        told = labels if unet.config.num_class_embeds else None
        score = scores[name] = {"losses": losses(unet, scheduler, x_0, told)}
        score["bound"] = bound(unet, scheduler, x_0, told, BOUND_STEPS)
        if told is not None:
            score["bound_untold"] = bound(unet, scheduler, x_0, torch.full_like(told, NULL), BOUND_STEPS)
        if name == "linear-epsilon":
            some = x_0[:FULL_CHAIN_EXAMPLES]
            score["bound_full"] = bound(unet, scheduler, some, None, scheduler.config.num_train_timesteps)
        print(name, {key: value["total"] for key, value in score.items() if key != "losses"}, flush=True)
    safetensors.torch.save_file(tensors, HERE / "references.safetensors")
    versions = {
        "python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }
    text = {"versions": versions, "loss_steps": LOSS_STEPS, "cases": cases, "scores": scores}
    (HERE / "references.json").write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
