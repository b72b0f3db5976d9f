"""The peer of `cargo xtask evidence peer`: what PyTorch and diffusers reach in the same time.

equal_time.py --pipeline DIR --data FILE.npy --seconds S --out DIR [--threads N] [--recipe same|diffusers] [--variant V] [--seed K]

Trains the network of DIR/unet/config.json from fresh weights on FILE.npy (bytes, [N, H, W] or [N, H, W, 1]) for S seconds of wall time, and
writes a pipeline of the averaged weights to the folder `out`. Every line of output is a name and a value.

Recipes: `same` is what `sfumato train` does without arguments, but for the optimizer and the strata: Adam at 1e-3, 100 steps of warm-up, a cosine that ends with the time, batches of
64, an average with a decay of min(0.999, (1 + s)/(10 + s)). `diffusers` is what examples/unconditional_image_generation/train_unconditional.py of
diffusers 0.35.2 does by default: AdamW at 1e-4 with betas (0.95, 0.999) and a weight decay of 1e-6, 500 steps of warm-up, a cosine, batches of 16,
EMAModel with inverse gamma 1, power 3/4 and at most 0.9999.

Variants: eager, channels_last, compile, or auto, which measures each for some seconds and takes the fastest. That, and the compilation, happen
before the clock starts. The line `variant` comes just before it does: the runner starts the training beside this one then.
"""

import argparse
import math
import pathlib
import platform
import time

import diffusers
import numpy
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel

RECIPES = {
    "same": dict(optimizer="adam", rate=1e-3, warmup=100, batch=64),
    "diffusers": dict(optimizer="adamw", rate=1e-4, warmup=500, batch=16),
}
VARIANTS = ["eager", "channels_last", "compile"]
MEASURED = 6  # steps of each variant


def fresh(folder, seed):
    torch.manual_seed(seed)
    return UNet2DModel.from_config(UNet2DModel.load_config(folder, subfolder="unet"))


class Averages:
    """The moving average of a recipe, over the parameters in their order."""

    def __init__(self, recipe, net):
        self.parameters = list(net.parameters())
        self.steps = 0
        self.ema = EMAModel(self.parameters, use_ema_warmup=True, inv_gamma=1.0, power=0.75, decay=0.9999) if recipe == "diffusers" else None
        self.values = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def step(self):
        if self.ema:
            return self.ema.step(self.parameters)
        decay = min(0.999, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.values, self.parameters, 1 - decay)
        self.steps += 1

    def copy_to(self, net):
        if self.ema:
            return self.ema.copy_to(net.parameters())
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), self.values):
                parameter.copy_(value)


class Trainer:
    def __init__(self, arguments, variant):
        self.recipe = RECIPES[arguments.recipe]
        self.net = fresh(arguments.pipeline, arguments.seed).train()
        self.scheduler = DDPMScheduler.from_pretrained(arguments.pipeline, subfolder="scheduler")
        self.layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        self.net = self.net.to(memory_format=self.layout)
        self.run = torch.compile(self.net, dynamic=False) if variant == "compile" else self.net
        parameters = list(self.net.parameters())
        if self.recipe["optimizer"] == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=self.recipe["rate"], fused=True)
        else:
            self.optimizer = torch.optim.AdamW(parameters, lr=self.recipe["rate"], betas=(0.95, 0.999), weight_decay=1e-6, fused=True)
        self.averages = Averages(arguments.recipe, self.net)
        self.random = torch.Generator().manual_seed(arguments.seed)
        pixels = numpy.load(arguments.data)
        self.data = torch.from_numpy(pixels.reshape(-1, 1, *pixels.shape[1:3])).float() / 127.5 - 1
        self.order = torch.empty(0, dtype=torch.long)
        self.steps = 0

    def batch(self):
        size = self.recipe["batch"]
        while len(self.order) < size:
            self.order = torch.cat([self.order, torch.randperm(len(self.data), generator=self.random)])
        chosen, self.order = self.order[:size], self.order[size:]
        return self.data[chosen].contiguous(memory_format=self.layout)

    def rate(self, progress):
        warmup = self.recipe["warmup"]
        rise = min(1, (self.steps + 1) / warmup)
        return self.recipe["rate"] * rise * (0.5 * (1 + math.cos(math.pi * progress)) if rise == 1 else 1)

    def loss(self):
        x_0 = self.batch()
        epsilon = torch.randn(x_0.shape, generator=self.random)
        t = torch.randint(self.scheduler.config.num_train_timesteps, (len(x_0),), generator=self.random)
        return torch.nn.functional.mse_loss(self.run(self.scheduler.add_noise(x_0, epsilon, t), t, return_dict=False)[0], epsilon)

    def compile(self):
        """Has the network and its gradients compiled, and leaves the weights as they are."""
        self.loss().backward()
        self.optimizer.zero_grad()

    def step(self, progress):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(progress)
        self.optimizer.step()
        self.averages.step()
        self.steps += 1
        return loss.item()


def seconds_a_step(arguments, variant):
    trainer = Trainer(arguments, variant)
    for _ in range(2):
        trainer.step(0)
    start = time.perf_counter()
    for _ in range(MEASURED):
        trainer.step(0)
    return (time.perf_counter() - start) / MEASURED


def fastest(arguments):
    return min(VARIANTS, key=lambda variant: seconds_a_step(arguments, variant))


def train(arguments):
    variant = fastest(arguments) if arguments.variant == "auto" else arguments.variant
    torch._dynamo.reset()
    trainer = Trainer(arguments, variant)
    if variant == "compile":
        trainer.compile()
    print("variant", variant, flush=True)
    start, said, total = time.perf_counter(), 0, []
    while (elapsed := time.perf_counter() - start) < arguments.seconds:
        total.append(trainer.step(elapsed / arguments.seconds))
        if elapsed - said > 60:
            said = elapsed
            print("progress", round(elapsed), trainer.steps, round(sum(total) / len(total), 5), flush=True)
            total = []
    elapsed = time.perf_counter() - start
    trainer.averages.copy_to(trainer.net)
    DDPMPipeline(unet=trainer.net.eval().to(memory_format=torch.contiguous_format), scheduler=trainer.scheduler).save_pretrained(arguments.out)
    print("steps", trainer.steps)
    print("images", trainer.steps * trainer.recipe["batch"])
    print("seconds", round(elapsed, 3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recipe", choices=RECIPES, default="same")
    parser.add_argument("--variant", choices=[*VARIANTS, "auto"], default="auto")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("python", platform.python_version())
    print("torch", torch.__version__)
    print("diffusers", diffusers.__version__, flush=True)
    train(arguments)


if __name__ == "__main__":
    main()
