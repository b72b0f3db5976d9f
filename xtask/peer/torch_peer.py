"""The peer of `cargo xtask bench --peer torch`: the same U-Net on the same batch in PyTorch.

torch_peer.py versions
torch_peer.py check DIR                                        loss and gradient norm of the first step
torch_peer.py train|evaluate DIR VARIANT WARM_UP REPETITIONS   eager, channels_last, compile, bf16 or bf16_compile
torch_peer.py image DIR FILE.png                               one image by 50 steps of DDIM
torch_peer.py serve DIR                                        answers lines of standard input (DIR is not read), a line each:
    loss DIR                                                   the loss of the first step
    train|evaluate DIR BATCH SIZE VARIANT REPETITIONS          seconds of each call, with random images of that size

DIR is a pipeline directory that `sfumato-bench prepare` wrote, with x_0.npy, epsilon.npy and t.npy (from 1). Every line
of output is a name and a value. THREADS (environment) sets the number of threads.
"""

import os
import sys
import time

import torch

torch.set_num_threads(int(os.environ.get("THREADS", "2")))

from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel  # noqa: E402 (after the threads)


def load(folder, variant, shape=None):
    """The network and the batch, in the memory format of the variant; a random batch where its number of images and size are given."""
    import numpy

    net = UNet2DModel.from_pretrained(folder, subfolder="unet", low_cpu_mem_usage=False)
    if shape is None:
        x_0, epsilon, t = (torch.from_numpy(numpy.load(f"{folder}/{name}.npy")) for name in ("x_0", "epsilon", "t"))
    else:
        batch, size = shape
        x_0, epsilon = (torch.randn(batch, net.config.in_channels, size, size) for _ in range(2))
        t = torch.randint(1, 1001, (batch,))
    if variant == "channels_last":
        net = net.to(memory_format=torch.channels_last)
        x_0, epsilon = (x.contiguous(memory_format=torch.channels_last) for x in (x_0, epsilon))
    return net, x_0, epsilon, t.long() - 1


def compiled(net, variant):
    return torch.compile(net, dynamic=False) if variant.endswith("compile") else net


def precision(variant):
    """What a user writes around the network and the loss: bf16 where autocast finds it safe."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=variant.startswith("bf16"))


def training_step(folder, variant, shape=None):
    """A function that takes one step and returns its loss and gradient norm: noise, loss, gradient, clipping, Adam."""
    net, x_0, epsilon, t = load(folder, variant, shape)
    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    adam = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    run = compiled(net.train(), variant)

    def step():
        x_t = scheduler.add_noise(x_0, epsilon, t)
        with precision(variant):
            loss = torch.nn.functional.mse_loss(run(x_t, t, return_dict=False)[0], epsilon)
        adam.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        return loss.item(), norm.item()

    return step


def evaluation(folder, variant, shape=None):
    net, _, x_t, t = load(folder, variant, shape)
    run = compiled(net.eval(), variant)

    def step():
        with torch.inference_mode(), precision(variant):
            return run(x_t, t, return_dict=False)[0]

    return step


MAKE = {"train": training_step, "evaluate": evaluation}


def times(step, warm_up, repetitions):
    """Seconds of each call that counts."""
    for _ in range(warm_up):
        step()
    for _ in range(repetitions):
        start = time.perf_counter()
        step()
        yield time.perf_counter() - start


def answer(command, folder, batch, size, variant, repetitions):
    """The times of one cell. Nothing of it stays in memory."""
    seconds = list(times(MAKE[command](folder, variant, (int(batch), int(size))), 1, int(repetitions)))
    if variant.endswith("compile"):
        torch._dynamo.reset()
    return seconds


def serve():
    for line in sys.stdin:
        command, folder, *rest = line.split()
        numbers = training_step(folder, "eager")()[:1] if command == "loss" else answer(command, folder, *rest)
        print(*numbers, flush=True)


def measure(make, folder, variant, warm_up, repetitions):
    for seconds in times(make(folder, variant), int(warm_up), int(repetitions)):
        print("seconds", seconds)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    print("peak_bytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def image(folder, path):
    """What a user of diffusers writes to get one picture."""
    from PIL import Image

    net = UNet2DModel.from_pretrained(folder, subfolder="unet", low_cpu_mem_usage=False).eval()
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    scheduler.set_timesteps(50)
    channels, size = net.config.in_channels, net.config.sample_size
    x = torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t).sample, t, x).prev_sample
    pixels = (127.5 * (x[0].clamp(-1, 1) + 1)).round().byte().permute(1, 2, 0).squeeze(-1)
    Image.fromarray(pixels.numpy()).save(path)


def main(command, *arguments):
    if command == "versions":
        import datetime
        import platform

        import diffusers

        print("python", platform.python_version())
        print("torch", torch.__version__)
        print("diffusers", diffusers.__version__)
        print("date", datetime.date.today())
    elif command == "check":
        loss, norm = training_step(arguments[0], "eager")()
        print("loss", loss)
        print("grad_norm", norm)
    elif command == "image":
        image(*arguments)
    elif command == "serve":
        serve()
    else:
        measure(MAKE[command], *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
