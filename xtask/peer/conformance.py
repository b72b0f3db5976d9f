"""The peer of `cargo xtask conformance`: randomly initialised pipelines, and what diffusers makes of them.

conformance.py make DIR [quick]
                              writes the pipelines, the noise and diffusers' answers; prints a line for each run of `sfumato sample`:
                              its folder and its model, both in DIR, and its arguments, separated by tabs
conformance.py compare DIR    prints the largest differences, and fails where one is above the tolerance

A network alone is a single step of DDIM with predictions of the data: the sample is the network's output. The schedulers and
the noise are those of the golden trajectories in tests/golden/samplers.
"""

import json
import pathlib
import platform
import sys

import diffusers
import numpy as np
import torch
from diffusers import UNet2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden/samplers"))
import make_samplers as golden  # noqa: E402 (after the path)

NETWORK_TOLERANCE = 2e-5  # of the largest value of the output
SAMPLE_TOLERANCE = 1e-3  # of the largest value of the samples, at least 1
SAMPLES = 2
QUICK = sys.argv[3:] == ["quick"]  # one network and the samplers of one configuration
CLASS = 37  # for networks that know any number as a class

DOWN, UP, ATTENTION_DOWN, ATTENTION_UP = "DownBlock2D", "UpBlock2D", "AttnDownBlock2D", "AttnUpBlock2D"


def small(channels, size, **keys):
    """Two levels, attention at the lower one."""
    return dict(
        sample_size=size, in_channels=channels, out_channels=channels, block_out_channels=(8, 16), layers_per_block=1,
        norm_num_groups=4, down_block_types=(DOWN, ATTENTION_DOWN), up_block_types=(ATTENTION_UP, UP),
    ) | keys


NETWORKS = {
    "small": small(3, 8),
    "one channel": small(1, 28),
    "four channels": small(4, 16, layers_per_block=3),
    "google/ddpm-cifar10-32": dict(
        sample_size=32, freq_shift=1, flip_sin_to_cos=False, downsample_padding=0, block_out_channels=(128, 256, 256, 256),
        attention_head_dim=None, norm_eps=1e-6, down_block_types=(DOWN, ATTENTION_DOWN, DOWN, DOWN),
        up_block_types=(UP, UP, ATTENTION_UP, UP),
    ),
    "google/ddpm-cat-256 at 64": dict(
        sample_size=64, freq_shift=1, flip_sin_to_cos=False, downsample_padding=0, attention_head_dim=None, norm_eps=1e-6,
        block_out_channels=(128, 128, 256, 256, 512, 512), down_block_types=(DOWN, DOWN, DOWN, DOWN, ATTENTION_DOWN, DOWN),
        up_block_types=(UP, ATTENTION_UP, UP, UP, UP, UP),
    ),
    "classes": small(3, 16, num_class_embeds=5),
    "scale and shift": small(3, 16, resnet_time_scale_shift="scale_shift", mid_block_scale_factor=2**0.5),
    "attention everywhere": small(
        1, 16, down_block_types=(ATTENTION_DOWN,) * 2, up_block_types=(ATTENTION_UP,) * 2, attention_head_dim=4
    ),
    "no attention in the middle": small(3, 16, add_attention=False, norm_eps=1e-3),
    "no middle": small(2, 8, mid_block_type=None, down_block_types=(DOWN, DOWN), up_block_types=(UP, UP)),
    "resampling by resnets": small(3, 16, downsample_type="resnet", upsample_type="resnet"),
    "mish": small(3, 16, act_fn="mish"),
    "gelu": small(3, 16, act_fn="gelu"),
    "relu, centred": small(3, 16, act_fn="relu", center_input_sample=True),
    "time features": small(3, 16, freq_shift=1, flip_sin_to_cos=False, time_embedding_dim=48),
    "not square": small(1, (8, 12), downsample_padding=0),
    "three levels, 64 pixels": small(
        3, 64, block_out_channels=(8, 12, 16), down_block_types=(DOWN, DOWN, ATTENTION_DOWN),
        up_block_types=(ATTENTION_UP, UP, UP), norm_num_groups=2, attention_head_dim=None,
    ),
    "classes by any number": small(3, 16, class_embed_type="timestep"),
    "Fourier features": small(3, 16, time_embedding_type="fourier"),
    "norm in attention": small(3, 16, attn_norm_num_groups=8, resnet_time_scale_shift="scale_shift"),
}

ARGUMENTS = {
    "ddpm": "ddpm", "ddim": "ddim", "dpm": "dpm-solver++", "dpm-sde": "dpm-solver++-sde", "unipc": "unipc", "euler": "euler",
    "euler-a": "euler-ancestral", "heun": "heun",
}


def network(keys, seed):
    torch.manual_seed(seed)
    unet = UNet2DModel(**keys).eval()
    with torch.no_grad():
        for key, parameter in unet.named_parameters():
            # Norms start as the identity: move them, so that a wrong norm shows.
            if "norm" in key:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return unet


def save(folder, unet, scheduler):
    diffusers.DDPMPipeline(unet=unet, scheduler=scheduler).save_pretrained(folder / "model")


def case(folder, model, row, column, expected, noise, arguments):
    """Writes what a run is given and what it should give, and says how to run it."""
    np.save(folder / "noise.npy", noise.numpy().astype(np.float32))
    np.save(folder / "expected.npy", expected.numpy())
    (folder / "case.json").write_text(json.dumps(dict(row=row, column=column)))
    names = folder.name, f"{model.parent.name}/{model.name}"
    print(*names, "--num", len(expected), *arguments, sep="\t", flush=True)


def networks(root):
    for seed, (row, keys) in enumerate(NETWORKS.items()):
        if QUICK and row != "small":
            continue
        unet = network(keys, seed)
        size = keys["sample_size"]
        shape = (SAMPLES, unet.config.in_channels, *((size, size) if isinstance(size, int) else size))
        noise = golden.noise(0, shape)
        classes, arguments = keys.get("num_class_embeds"), []
        labels = torch.arange(SAMPLES) % classes if classes else None
        if keys.get("class_embed_type") == "timestep":
            labels, arguments = torch.full((SAMPLES,), CLASS), ["--class", str(CLASS)]
        model = root / f"network-{seed}-999/model"
        for spacing, t in [("trailing", 999), ("leading", 0)]:
            if t == 0 and keys.get("time_embedding_type") == "fourier":
                continue  # the logarithm of 0
            folder = root / f"network-{seed}-{t}"
            folder.mkdir()
            if model.parent == folder:
                save(folder, unet, DDIMScheduler(prediction_type="sample", clip_sample=False))
            with torch.no_grad():
                expected = unet(noise, t, class_labels=labels).sample
            step = ["--sampler", "ddim", "--steps", "1", "--spacing", spacing]
            case(folder, model, row, f"t = {t}", expected, noise[None], step + arguments)


def samplers(root):
    learned = small(3, 8, out_channels=6)
    nets = {False: network(NETWORKS["small"], 0), True: network(learned, 1)}
    shape = (SAMPLES, 3, 8, 8)
    for row, config in golden.CONFIGS.items():
        if QUICK and row != "linspace":
            continue
        unet = nets[config.get("variance_type") == "learned_range"]
        for sampler, cls, steps, options in golden.CASES + golden.VARIANTS:
            if sampler not in golden.ONLY.get(row, (sampler,)):
                continue
            if steps == 1000 and row not in ("defaults", "cosine-v") or sampler in golden.FLOAT64:
                continue
            scheduler = golden.scheduler_of(cls, config, steps, options)
            if scheduler is None:
                continue
            # A variant is told apart by what its name adds.
            name = next(name for name in sorted(ARGUMENTS, key=len, reverse=True) if sampler.startswith(name))
            told = [f"{key} {options[key]}" for key in ("order", "eta") if key in options]
            column = " ".join([ARGUMENTS[name], *told, *filter(None, [sampler[len(name):]]), str(steps)])
            folder = root / f"{row}-{column}".replace(" ", "-")
            folder.mkdir()
            save(folder, unet, scheduler)
            with torch.no_grad():
                states = golden.run(scheduler, lambda x, t: unet(x, t).sample, steps, shape, options.get("eta"))
            entries = steps + 1 if sampler in golden.NOISY or options.get("eta") else 1
            noise = torch.stack([golden.noise(entry, shape) for entry in range(entries)])
            arguments = ["--steps", str(steps)] + (["--eta", str(options["eta"])] if "eta" in options else [])
            case(folder, folder / "model", row, column, states[-1], noise, arguments)


def compare(root):
    """The table; whether all is within the tolerances."""
    rows, passed, worst = {}, True, {True: 0.0, False: 0.0}
    order = [*NETWORKS, *golden.CONFIGS]
    cases = [(json.loads(path.read_text()), path.parent) for path in sorted(root.glob("*/case.json"))]
    for description, folder in sorted(cases, key=lambda case: order.index(case[0]["row"])):
        alone = description["column"].startswith("t = ")
        expected, result = np.load(folder / "expected.npy").astype(np.float64), folder / "out/samples.npy"
        largest = np.abs(expected).max()
        difference = float("nan")
        if result.exists():
            found = np.load(result).astype(np.float64)
            if found.shape == expected.shape:
                difference = np.abs(found - expected).max() / (largest if alone else max(largest, 1.0))
        fits = difference <= (NETWORK_TOLERANCE if alone else SAMPLE_TOLERANCE)
        passed = passed and fits
        worst[alone] = max(worst[alone], difference)
        sampler = "network" if alone else description["column"].split()[0]
        row = rows.setdefault((not alone, description["row"]), {})
        row.setdefault(sampler, []).append((difference, fits))
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, diffusers {diffusers.__version__}"
    print(f"Largest differences from diffusers ({versions}).\n")
    tables = [
        (False, ["network"], f"Networks, of the output's largest value; tolerance {NETWORK_TOLERANCE:g}"),
        (True, list(ARGUMENTS.values()), f"Samplers, of the samples' largest value, at least 1; tolerance {SAMPLE_TOLERANCE:g}"),
    ]
    for key, columns, title in tables:
        print(title + "\n\n| " + " | ".join(["configuration", *columns]) + " |")
        print("| --- " + "| ---: " * len(columns) + "|")
        for (kind, name), row in rows.items():
            if kind == key:
                print(f"| {name} | " + " | ".join(cell(row.get(column)) for column in columns) + " |")
        count = sum(len(cells) for (kind, _), row in rows.items() if kind == key for cells in row.values())
        print(f"\n{count} runs, largest difference {worst[not key]:.1e}.\n")
    return passed and bool(rows)


def cell(differences):
    if not differences:
        return ""
    largest = max(difference for difference, _ in differences)
    return f"{largest:.1e}" + ("" if all(fits for _, fits in differences) else " **above**")


def main():
    verb, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    diffusers.utils.logging.set_verbosity_error()
    if verb == "make":
        networks(root)
        samplers(root)
    elif not compare(root):
        sys.exit(1)


if __name__ == "__main__":
    main()
