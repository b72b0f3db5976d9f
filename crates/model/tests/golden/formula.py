"""Numbers from a formula, the same here and in `tests/common/formula.rs`: weights and inputs that need no file.

Number i of the tensor NAME is `u = (splitmix64(fnv1a(NAME) + i · 0x9E3779B97F4A7C15) >> 40) / 2^23 - 1`, in [-1, 1) and exact in
float32. Weights of two and more dimensions are `u / sqrt(fan_in)`, other tensors called `weight` (norms) `1 + 0.3 u`, Fourier
frequencies `16 u`, biases `0.1 u`.
"""

import math

import numpy as np
import torch


def uniform(name, count):
    """`count` numbers in [-1, 1), float64."""
    start = 0xCBF29CE484222325
    for byte in name.encode():
        start = (start ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def weight(name, shape):
    """The parameter NAME as a float32 tensor."""
    u = uniform(name, math.prod(shape))
    if len(shape) > 1:
        values = u * (1 / math.sqrt(math.prod(shape[1:])))
    elif name == "time_proj.weight":
        values = 16 * u
    elif name.endswith("weight"):
        values = 1 + 0.3 * u
    else:
        values = 0.1 * u
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def noise(name, shape):
    """Input of variance 1: `sqrt(3) u`."""
    return torch.from_numpy((math.sqrt(3) * uniform(name, math.prod(shape))).astype(np.float32)).reshape(shape)


def fill(model):
    """Gives every parameter of a module its weight."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weight(name, tuple(parameter.shape)))
    return model.eval()
