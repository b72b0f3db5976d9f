"""The peer of `cargo xtask gpu --peer torch`: the same U-Net on the same batch in PyTorch on a GPU.

torch_device_peer.py train|evaluate DIR VARIANT CALLS    seconds of a call, a line for each of three blocks of calls

DIR is a pipeline directory that `sfumato-bench prepare` wrote. VARIANT is tf32, tf32_channels_last, tf32_compile, bf16_channels_last or
bf16_compile. Nothing is read from the device within a block, as here. DEVICE (environment) names another device than cuda.
"""

import os
import sys
import time

import torch

from torch_peer import compiled, load
from diffusers import DDPMScheduler

DEVICE = os.environ.get("DEVICE", "cuda")
BLOCKS = 3
WARM_UP = 5


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def prepared(folder, variant):
    """The network and the batch on the device, in the memory format of the variant."""
    layout = "channels_last" if variant.endswith("channels_last") or variant == "bf16_compile" else "eager"
    net, x_0, epsilon, t = load(folder, layout)
    return net.to(DEVICE), x_0.to(DEVICE), epsilon.to(DEVICE), t.to(DEVICE)


def precision(variant):
    return torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=variant.startswith("bf16"))


def training_step(folder, variant):
    net, x_0, epsilon, t = prepared(folder, variant)
    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    adam = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    run = compiled(net.train(), variant)

    def step():
        x_t = scheduler.add_noise(x_0, epsilon, t)
        with precision(variant):
            loss = torch.nn.functional.mse_loss(run(x_t, t, return_dict=False)[0].float(), epsilon)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()

    return step


def evaluation(folder, variant):
    net, _, x_t, t = prepared(folder, variant)
    run = compiled(net.eval(), variant)

    def step():
        with torch.inference_mode(), precision(variant):
            run(x_t, t, return_dict=False)

    return step


def main(command, folder, variant, calls):
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    step = {"train": training_step, "evaluate": evaluation}[command](folder, variant)
    for _ in range(WARM_UP):
        step()
    wait()
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for _ in range(int(calls)):
            step()
        wait()
        print("seconds", (time.perf_counter() - start) / int(calls))


if __name__ == "__main__":
    main(*sys.argv[1:])
