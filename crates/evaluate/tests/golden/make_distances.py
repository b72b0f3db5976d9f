"""Distances of stored features by other implementations: `python make_distances.py`, with the versions of requirements.txt.

The features are a formula, so that no file of them is kept: `features(n, shift, scale)` here and in ../distances.rs.
"""

import json
from importlib.metadata import version

import numpy as np
import scipy.linalg
import scipy.stats
from prdc import compute_prdc


def uniform(n):
    """A sequence in [0, 1) that any language computes to the same bits: multiplication modulo 2^31 - 1."""
    values, state = np.empty(n), 12345
    for i in range(n):
        state = state * 48271 % (2**31 - 1)
        values[i] = state / (2**31 - 1)
    return values


def features(n, dims, rank, shift, scale, skip):
    """`n` rows: `rank` independent numbers mixed into `dims`."""
    u = uniform(skip + n * rank)[skip:].reshape(n, rank)
    mix = uniform(rank * dims).reshape(rank, dims)
    return scale * (u @ mix) + shift * np.arange(dims) / dims


def frechet(a, b):
    """pytorch-fid's calculate_frechet_distance, with scipy's square root of a matrix."""
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))
    means = np.sum((a.mean(0) - b.mean(0)) ** 2)
    return float(means + np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False)) - 2 * np.trace(root.real))


def kid(a, b):
    """torch-fidelity's estimate over the whole sets as one subset; it wants sets of one size."""
    from torch_fidelity.metric_kid import kernel_poly, mmd2

    a = a[: len(b)]
    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1.0}
    return float(mmd2(kernel_poly(a, a, **options), kernel_poly(a, b, **options), kernel_poly(b, b, **options)))


def mann_whitney(a, b):
    """The normal score of scipy's test, with ties and without its correction for continuity."""
    u = scipy.stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False).statistic
    n, m = len(a), len(b)
    _, counts = np.unique(np.concatenate([a, b]), return_counts=True)
    ties = (counts**3 - counts).sum() / ((n + m) * (n + m - 1))
    return float((u - n * m / 2) / np.sqrt(n * m / 12 * (n + m + 1 - ties)))


def nearest(a, train):
    distances = np.sort(np.linalg.norm(a[:, None] - train[None], axis=2), axis=1)
    return distances[:, 0], distances[:, 1]


def main():
    cases = {}
    for name, (rank, shift, scale) in {"full rank": (16, 0.3, 1.0), "near": (16, 0.02, 1.02), "singular": (5, 0.1, 1.1)}.items():
        a = features(700, 16, rank, 0.0, 1.0, 0)
        b = features(600, 16, rank, shift, scale, 700 * rank)
        first_a, second_a = nearest(a[:200], b)
        first_b, _ = nearest(a[200:450], b)
        cases[name] = {
            "rank": rank,
            "shift": shift,
            "scale": scale,
            "frechet": frechet(a, b),
            "kid": kid(a, b),
            **{key: float(value) for key, value in compute_prdc(real_features=b, fake_features=a, nearest_k=5).items()},
            "first_mean": float(first_a.mean()),
            "ratio_mean": float((first_a / second_a).mean()),
            "mann_whitney": mann_whitney(np.round(first_a, 2), np.round(first_b, 2)),
        }
    tools = {name: version(name) for name in ["numpy", "scipy", "prdc", "torch-fidelity"]}
    with open("distances.json", "w") as file:
        json.dump({"tools": tools, "cases": cases}, file, indent=1)
        file.write("\n")


main()
