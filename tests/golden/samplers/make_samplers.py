"""Makes the golden trajectories beside this file: what diffusers' schedulers make of the same predictions and noise.

Most cases ask a closed-form denoiser on tensors of 48 or 4 numbers, some a small U-Net of crates/model/tests/golden. Noise is a hash of
entry and position. `cases.json` lists the cases with their scheduler_config.json; `samplers.safetensors` holds the final states,
states before and after single steps, and the tables of alpha_bar that the steps were made with.

Made with Python 3.11, torch 2.9.1, diffusers 0.35.2, safetensors 0.8.0, numpy 2.4; the versions that made a file stand in its metadata.

    pip install torch==2.9.1 diffusers==0.35.2 safetensors==0.8.0 numpy
    python make_samplers.py
"""

import contextlib
import inspect
import json
import math
import pathlib
import platform
import sys

import diffusers
import numpy as np
import safetensors
import safetensors.torch
import torch
from diffusers import UNet2DModel
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm, scheduling_dpmsolver_multistep, scheduling_euler_ancestral_discrete
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

HERE = pathlib.Path(__file__).parent
NETS = HERE.parents[2] / "crates/model/tests/golden"
SHAPE = (2, 2, 3, 4)
SMALL = (1, 1, 2, 2)
T = 1000

# Keys of scheduler_config.json; each class takes those that it has.
CONFIGS = {
    "defaults": dict(timestep_spacing="leading"),
    "linspace": dict(timestep_spacing="linspace", clip_sample=False, use_karras_sigmas=True),
    "cosine-v": dict(
        timestep_spacing="leading", clip_sample=False, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction",
        use_karras_sigmas=True,
    ),
    "cosine-offset": dict(
        timestep_spacing="leading", beta_schedule="squaredcos_cap_v2", steps_offset=1, clip_sample=True,
        lambda_min_clipped=-5.1,
    ),
    "scaled-x0": dict(
        timestep_spacing="linspace", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
        prediction_type="sample", variance_type="fixed_large", clip_sample=True,
    ),
    "x0": dict(
        timestep_spacing="trailing", clip_sample=False, prediction_type="sample", variance_type="fixed_small_log",
        final_sigmas_type="sigma_min",
    ),
    "zero-snr": dict(
        timestep_spacing="linspace", rescale_betas_zero_snr=True, prediction_type="v_prediction", clip_sample=True,
    ),
    "thresholding": dict(
        timestep_spacing="trailing", thresholding=True, dynamic_thresholding_ratio=0.8, sample_max_value=1.5,
    ),
    "trained": dict(
        timestep_spacing="trailing", clip_sample=True, clip_sample_range=0.8, solver_type="heun", lower_order_final=False,
        trained_betas=[round(1e-4 + 0.018 / (1 + math.exp(-(i - 500) / 90)), 6) for i in range(T)],
    ),
    "large": dict(
        timestep_spacing="leading", variance_type="fixed_large", set_alpha_to_one=False, clip_sample=True, euler_at_final=True,
    ),
    # Beyond the ten: a variance that the network has learned, and the levels that DPM-Solver++ can leave out.
    "learned": dict(timestep_spacing="leading", variance_type="learned_range"),
    "clipped-levels": dict(timestep_spacing="trailing", beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1),
}

# Every spacing with every prediction, with and without clipping, on one schedule and small tensors.
PRODUCT = {
    f"{spacing}-{prediction}-{'clip' if clip else 'free'}": dict(
        timestep_spacing=spacing, prediction_type=prediction, clip_sample=clip
    )
    for spacing in ("leading", "linspace", "trailing")
    for prediction in ("epsilon", "sample", "v_prediction")
    for clip in (True, False)
}

SDE = dict(algorithm_type="sde-dpmsolver++")

# Options beside the order and the noise of DDIM are keys of scheduler_config.json.
CASES = (
    [("ddpm", DDPMScheduler, steps, {}) for steps in (1000, 50)]
    + [("ddim", DDIMScheduler, steps, dict(eta=eta)) for steps in (50, 7) for eta in (0.0, 0.5, 1.0)]
    + [("dpm", DPMSolverMultistepScheduler, steps, dict(order=order)) for steps in (20, 7) for order in (1, 2, 3)]
    + [("euler", EulerDiscreteScheduler, 20, {}), ("heun", HeunDiscreteScheduler, 20, {})]
    + [("euler-a", EulerAncestralDiscreteScheduler, steps, {}) for steps in (50, 7)]
    + [("dpm-sde", DPMSolverMultistepScheduler, steps, dict(order=order, **SDE)) for steps in (20, 7) for order in (1, 2)]
    + [("unipc", UniPCMultistepScheduler, steps, dict(order=order)) for steps in (20, 7) for order in (1, 2, 3)]
)
# Other options of the same, on the configurations alone. UniPC leads to clean data with bh2 and predictions of it only: the others end in NaN.
VARIANTS = [
    ("dpm-sde-heun", DPMSolverMultistepScheduler, 20, dict(order=2, solver_type="heun", **SDE)),
    ("unipc-bh1", UniPCMultistepScheduler, 20, dict(order=3, solver_type="bh1", final_sigmas_type="sigma_min")),
    ("unipc-noise", UniPCMultistepScheduler, 20, dict(order=3, predict_x0=False, final_sigmas_type="sigma_min")),
    ("unipc-part", UniPCMultistepScheduler, 20, dict(order=2, disable_corrector=[0, 1, 5])),
]
ONLY = {"learned": ("ddpm",), "clipped-levels": ("dpm", "dpm-sde")}
# Its terms cancel where there is little signal, which leaves few digits of float32: compared in float64 on both sides.
FLOAT64 = ("unipc-noise",)
# Samplers whose steps take noise of their own; DDIM with eta besides.
NOISY = ("ddpm", "euler-a", "dpm-sde", "dpm-sde-heun")


def splitmix(n):
    """The n-th output of SplitMix64 from seed 0."""
    z = (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def noise(entry, shape):
    """Standard normal noise (Box and Muller), a function of entry and position."""
    size = math.prod(shape)
    n = np.uint64(2) * (np.uint64(entry) * np.uint64(size) + np.arange(size, dtype=np.uint64))
    a = ((splitmix(n) >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53
    b = (splitmix(n + np.uint64(1)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    z = np.sqrt(-2.0 * np.log(a)) * np.cos(2.0 * np.pi * b)
    return torch.from_numpy(z.astype(np.float32)).reshape(shape)


def denoiser(prediction, learned, dtype=torch.float32):
    """A smooth guess of the data, in whichever form the scheduler wants it."""

    def predict(x, t):
        x = x.double()
        u = (float(t) + 1) / T
        g = math.exp(-0.1 * u - 10.0 * u * u)
        signal, spread = math.sqrt(g), math.sqrt(1.0 - g)
        index = torch.arange(x[0].numel(), dtype=torch.float64).reshape(x[0].shape)
        pattern = (index * 7.0) % 11.0 / 5.5 - 1.0
        x_0 = 1.2 * torch.tanh(signal / (0.25 * g + 1.0 - g) * x + pattern)
        epsilon = (x - signal * x_0) / spread
        output = {"epsilon": epsilon, "sample": x_0, "v_prediction": signal * epsilon - spread * x_0}[prediction]
        if learned:
            output = torch.cat([output, torch.tanh(0.5 * x - pattern)], dim=1)
        return output.to(dtype)

    return predict


def scheduler_of(cls, config, steps, options):
    """The scheduler; none where the class does not know what is asked for."""
    names = inspect.signature(cls.__init__).parameters
    keys = {key: value for key, value in config.items() if key in names}
    if steps == T:
        keys["steps_offset"] = 0  # there is no step after the last one
    keys |= {key: value for key, value in options.items() if key in names}
    if "order" in options:
        keys["solver_order"] = options["order"]
    if cls is EulerAncestralDiscreteScheduler and config.get("prediction_type") == "sample":
        return None  # not implemented
    if cls is UniPCMultistepScheduler:
        if keys.get("thresholding") and not keys.get("predict_x0", True):
            return None  # it would pass over it
        if not keys.get("lower_order_final", True):
            keys["final_sigmas_type"] = "sigma_min"  # clean data would be NaN
    return cls(**{"beta_start": 1e-4, "beta_end": 0.02} | keys)


def clips(cls):
    return "clip_sample" in inspect.signature(cls.__init__).parameters


def run(scheduler, predict, steps, shape, eta=None, dtype=torch.float32):
    """The states after 0, 1, ... steps; Heun's corrections are no steps of their own."""
    entry = [0]
    for module in (scheduling_ddpm, scheduling_ddim, scheduling_dpmsolver_multistep, scheduling_euler_ancestral_discrete):
        module.randn_tensor = lambda *_, **__: noise(entry[0], shape)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    x = noise(0, shape).to(dtype) * scheduler.init_noise_sigma
    states = [x]
    options = {} if eta is None else {"eta": eta}
    for k, t in enumerate(scheduler.timesteps):
        entry[0] = k + 1
        output = predict(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x, **options).prev_sample
        if scheduler.order == 1 or scheduler.state_in_first_order or k + 1 == len(scheduler.timesteps):
            states.append(x)
    return states


class Double:
    """A module whose float32 is float64."""

    def __init__(self, module, float64):
        self.module, self.float32 = module, float64

    def __getattr__(self, name):
        return getattr(self.module, name)


@contextlib.contextmanager
def double(cls):
    """Lets a scheduler compute in float64: its module asks torch and numpy for float32 by name."""
    module = sys.modules[cls.__module__]
    module.torch, module.np = Double(torch, torch.float64), Double(np, np.float64)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        module.torch, module.np = torch, np
        torch.set_default_dtype(torch.float32)


def ancestral_in_float64(cls, config, steps, alphas_cumprod, predict, states, looked_at, shape):
    """The steps of EulerAncestralDiscreteScheduler again: in float32 a long step from a high level leaves few digits."""
    after = []
    with double(cls):
        scheduler = scheduler_of(cls, config, steps, {})
        scheduler.alphas_cumprod = alphas_cumprod.double()
        scheduler.set_timesteps(steps)
        for k in looked_at:
            scheduling_euler_ancestral_discrete.randn_tensor = lambda *_, **__: noise(k, shape).double()
            scheduler._step_index = k - 1
            x, t = states[k - 1].double(), scheduler.timesteps[k - 1]
            output = predict(scheduler.scale_model_input(x, t), t).double()
            after.append(scheduler.step(output, t, x).prev_sample)
    return torch.stack(after)


def in_float64(scheduler, predict, states, looked_at, shape):
    """The steps of DDPMScheduler again, with its coefficients in float64: near the data, float32 leaves 3 of their digits."""
    scheduler.alphas_cumprod, scheduler.one = scheduler.alphas_cumprod.double(), scheduler.one.double()
    after = []
    for k in looked_at:
        scheduling_ddpm.randn_tensor = lambda *_, **__: noise(k, shape)
        x, t = states[k - 1], scheduler.timesteps[k - 1]
        after.append(scheduler.step(predict(x, t).double(), t, x.double()).prev_sample)
    return torch.stack(after)


def chosen(steps):
    """Steps to look at one by one: all of a short walk, some of a long one."""
    if steps <= 20:
        return list(range(1, steps + 1))
    return sorted({1, 2, 3, steps // 4, steps // 2, 3 * steps // 4, steps - 30, steps - 3, steps - 2, steps - 1, steps})


def json_of(scheduler):
    keys = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    if keys.get("lambda_min_clipped") == -math.inf:
        del keys["lambda_min_clipped"]  # no number in JSON
    return {"_class_name": type(scheduler).__name__} | keys


def main():
    tensors, schedulers, cases = {}, {}, []
    for config_name, config in (CONFIGS | PRODUCT).items():
        shape = SMALL if config_name in PRODUCT else SHAPE
        for sampler, cls, steps, options in CASES + ([] if config_name in PRODUCT else VARIANTS):
            if sampler not in ONLY.get(config_name, (sampler,)):
                continue
            if config_name in PRODUCT and not config["clip_sample"] and not clips(cls):
                continue  # the same as with clipping, of which the class knows nothing
            scheduler = scheduler_of(cls, config, steps, options)
            if scheduler is None:
                continue
            reference = f"{config_name}/{sampler}{options.get('order', '')}" + ("-all" if steps == T else "")
            schedulers[reference] = json_of(scheduler)
            # Rounded to float32 on the way, as the steps see it: one table for all that have the same.
            schedule = "product" if config_name in PRODUCT else config_name
            table = tensors.setdefault(f"{schedule}/alphas_cumprod", scheduler.alphas_cumprod)
            if not table.equal(scheduler.alphas_cumprod):
                tensors[f"{reference}/alphas_cumprod"] = scheduler.alphas_cumprod
            predict = denoiser(scheduler.config.prediction_type, config_name == "learned")
            name = f"{reference}-{steps}" + (f"-eta{options['eta']}" if "eta" in options else "")
            case = dict(name=name, scheduler=reference, steps=steps, eta=options.get("eta", 0.0), net=None)
            if sampler in FLOAT64:
                with double(cls):
                    scheduler = scheduler_of(cls, config, steps, options)
                    predict = denoiser(scheduler.config.prediction_type, False, torch.float64)
                    tensors[f"{name}/final"] = run(scheduler, predict, steps, shape, dtype=torch.float64)[-1]
                cases.append(case | dict(float64=True))
                continue
            states = run(scheduler, predict, steps, shape, options.get("eta"))
            looked_at = [k for k in chosen(steps) if k < len(states)]
            tensors[f"{name}/final"] = states[-1]
            tensors[f"{name}/steps"] = torch.tensor(looked_at, dtype=torch.float32)
            tensors[f"{name}/before"] = torch.stack([states[k - 1] for k in looked_at])
            tensors[f"{name}/after"] = torch.stack([states[k] for k in looked_at])
            if sampler == "ddpm":
                tensors[f"{name}/after_f64"] = in_float64(scheduler, predict, states, looked_at, shape)
            if sampler == "euler-a":
                told = cls, config, steps, scheduler.alphas_cumprod, predict
                tensors[f"{name}/after_f64"] = ancestral_in_float64(*told, states, looked_at, shape)
            cases.append(case)
    for net in ("cifar", "defaults"):
        unet = UNet2DModel.from_pretrained(NETS / net / "unet").eval()
        base = json.loads((NETS / net / "scheduler/scheduler_config.json").read_text())
        shape = (2, unet.config.in_channels, 16, 16)
        for sampler, cls, steps, options in [
            ("ddpm", DDPMScheduler, 10, {}), ("ddim", DDIMScheduler, 7, dict(eta=0.5)),
            ("dpm", DPMSolverMultistepScheduler, 7, dict(order=3)), ("euler", EulerDiscreteScheduler, 7, {}),
            ("heun", HeunDiscreteScheduler, 7, {}), ("euler-a", EulerAncestralDiscreteScheduler, 7, {}),
            ("dpm-sde", DPMSolverMultistepScheduler, 7, dict(order=2, **SDE)),
            ("unipc", UniPCMultistepScheduler, 7, dict(order=3)),
        ]:
            scheduler = scheduler_of(cls, base, steps, options)
            reference = f"{net}-net/{sampler}"
            schedulers[reference] = json_of(scheduler)
            with torch.no_grad():
                states = run(scheduler, lambda x, t: unet(x, t).sample, steps, shape, options.get("eta"))
            tensors[f"{reference}/final"] = states[-1]
            cases.append(dict(name=reference, scheduler=reference, steps=steps, eta=options.get("eta", 0.0), net=net))
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "numpy": np.__version__, "safetensors": safetensors.__version__,
    }
    tensors = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    safetensors.torch.save_file(tensors, HERE / "samplers.safetensors", metadata=versions)
    text = json.dumps({"schedulers": schedulers, "cases": cases}, separators=(",", ":")).replace('},{"name"', '},\n{"name"')
    (HERE / "cases.json").write_text(text.replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
