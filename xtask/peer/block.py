"""One residual block in PyTorch, on the shapes of `cargo xtask bench residual_block`.

block.py [eager|channels_last|compile] [REPETITIONS]

Prints shape, median milliseconds of the block alone, and of the block with the gradients of its input and all parameters. THREADS
(environment) sets the number of threads; GLIBC_TUNABLES, where the C library is glibc, how memory is kept.
"""

import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn.functional import silu

torch.set_num_threads(int(os.environ.get("THREADS", "2")))

# Batch, channels, side.
SHAPES = [(16, 64, 32), (16, 128, 32), (16, 128, 16), (16, 256, 8), (64, 32, 28), (64, 64, 14), (128, 64, 28)]


class Block(nn.Module):
    """`x + conv(silu(norm(conv(silu(norm(x))))))`"""

    def __init__(self, channels):
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x):
        h = self.convs[0](silu(self.norms[0](x)))
        return x + self.convs[1](silu(self.norms[1](h)))


def milliseconds(work, repetitions):
    for _ in range(2):
        work()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main(variant="eager", repetitions="15"):
    for batch, channels, side in SHAPES:
        block, x = Block(channels), torch.randn(batch, channels, side, side)
        if variant == "channels_last":
            block, x = block.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        if variant == "compile":
            torch._dynamo.reset()
            block = torch.compile(block, dynamic=False)
        weights = torch.randn_like(x)  # of the sum whose gradient is computed
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_(True)

        def forward():
            with torch.inference_mode():
                block(x)

        def both():
            block.zero_grad()
            leaf.grad = None
            block(leaf).backward(weights)

        times = [milliseconds(work, int(repetitions)) for work in (forward, both)]
        print(f"{batch}x{channels}x{side}x{side}", *(f"{time:.2f}" for time in times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
