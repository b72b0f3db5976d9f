"""RePaint (Lugmayr et al. 2022, arXiv:2201.09865) on a Gaussian whose answer is known, in numpy and f64.

    python3 expected.py > expected.json

The data is a two-dimensional Gaussian, its perfect denoiser is affine, and so is every move of the algorithm, so that what RePaint
draws is Gaussian too: its mean and covariance are carried along exactly. Beside them stands the truth, the distribution of the unknown
coordinate given the known one. `path` is one walk with recorded noise, state by state.

The schedule of jumps is the function of the paper's code, get_schedule_jump. Written for numpy 2.
"""
import json
import sys

import numpy as np

MEAN = np.array([0.3, -0.2])
COVARIANCE = np.array([[0.5, 0.35], [0.35, 0.6]])
# Steps that are visited, steps of a jump, walks of each stretch. The last ones show where it leads: near the truth, and not to it.
SETTINGS = [(50, 1, 1), (25, 5, 3), (40, 10, 2), (50, 10, 10), (250, 10, 10), (1000, 10, 10), (1000, 10, 30), (1000, 10, 100), (1000, 50, 100)]
KNOWN = 0.9  # the first coordinate is known, the second is drawn


def schedule_jump(t_T, jump_length, jump_n_sample):
    jumps = {t: jump_n_sample - 1 for t in range(0, t_T - jump_length, jump_length)}
    t, ts = t_T, []
    while t >= 1:
        t -= 1
        ts.append(t)
        if jumps.get(t, 0) > 0:
            jumps[t] -= 1
            for _ in range(jump_length):
                t += 1
                ts.append(t)
    ts.append(-1)
    return ts


def linear(steps_trained, visited):
    """alpha_bar of the visited steps of the linear schedule of 1000 steps, from 1e-4 to 0.02; index 0 is clean data."""
    betas = np.linspace(1e-4, 0.02, steps_trained)
    alpha_bar = np.cumprod(1 - betas)
    # `trailing`: every (T / S)-th step, the last one included.
    steps = np.round(np.arange(1, visited + 1) * (steps_trained / visited)).astype(int)
    return np.concatenate([[1.0], alpha_bar[steps - 1]]), steps


def denoiser(alpha_bar):
    """E[x_0 | x_t] = A x_t + b."""
    s, n = np.sqrt(alpha_bar), 1 - alpha_bar
    gain = s * COVARIANCE @ np.linalg.inv(s * s * COVARIANCE + n * np.eye(2))
    return gain, MEAN - gain @ (s * MEAN)


def reverse(alpha_bar, i):
    """The step from i to i - 1: x = A x + b + sqrt(variance) z, with the posterior's variance."""
    now, before = alpha_bar[i], alpha_bar[i - 1]
    beta = 1 - now / before
    of_data = np.sqrt(before) * beta / (1 - now)
    of_state = np.sqrt(now / before) * (1 - before) / (1 - now)
    gain, offset = denoiser(now)
    return of_data * gain + of_state * np.eye(2), of_data * offset, beta * (1 - before) / (1 - now)


def moments(alpha_bar, jump, times):
    total = len(alpha_bar) - 1
    mean, covariance = np.zeros(2), np.eye(2)
    left = total
    keep = np.diag([0.0, 1.0])
    for t in schedule_jump(total, jump, times)[1:]:
        to = t + 1
        if to < left:
            gain, offset, variance = reverse(alpha_bar, left)
            mean, covariance = gain @ mean + offset, gain @ covariance @ gain.T
            if to > 0:
                covariance = covariance + variance * np.eye(2)
            mean, covariance = keep @ mean, keep @ covariance @ keep
            mean[0] = np.sqrt(alpha_bar[to]) * KNOWN
            covariance[0, 0] = 1 - alpha_bar[to]
        else:
            ratio = alpha_bar[to] / alpha_bar[left]
            mean, covariance = np.sqrt(ratio) * mean, ratio * covariance + (1 - ratio) * np.eye(2)
        left = to
    return mean, covariance


def path(alpha_bar, jump, times, noise):
    total = len(alpha_bar) - 1
    draws = iter(noise)
    x, states, left, climbed = next(draws), [], total, 0
    for t in schedule_jump(total, jump, times)[1:]:
        to = t + 1
        if to < left:
            gain, offset, variance = reverse(alpha_bar, left)
            x = gain @ x + offset
            if to > 0:
                x = x + np.sqrt(variance) * next(draws)
                known = np.sqrt(alpha_bar[to]) * KNOWN + np.sqrt(1 - alpha_bar[to]) * next(draws)[0]
            else:
                known = KNOWN
            x = np.array([known, x[1]])
            states.append(x.tolist())
        else:
            # The jump as one, as in the program; the paper's code takes its steps one by one, which is the same in distribution.
            climbed += 1
            if climbed == jump:
                climbed = 0
                ratio = alpha_bar[to] / alpha_bar[to - jump]
                x = np.sqrt(ratio) * x + np.sqrt(1 - ratio) * next(draws)
                states.append(x.tolist())
        left = to
    return states


def main():
    conditional = MEAN[1] + COVARIANCE[1, 0] / COVARIANCE[0, 0] * (KNOWN - MEAN[0])
    variance = COVARIANCE[1, 1] - COVARIANCE[1, 0] ** 2 / COVARIANCE[0, 0]
    result = {
        "versions": {"python": sys.version.split()[0], "numpy": np.__version__},
        "data": {"mean": MEAN.tolist(), "covariance": COVARIANCE.ravel().tolist(), "known": KNOWN},
        "conditional": {"mean": conditional, "variance": variance},
        "moments": [],
    }
    for visited, jump, times in SETTINGS:
        alpha_bar, _ = linear(1000, visited)
        mean, covariance = moments(alpha_bar, jump, times)
        evaluations = sum(a > b for a, b in zip(schedule_jump(visited, jump, times), schedule_jump(visited, jump, times)[1:]))
        result["moments"].append(
            {"steps": visited, "jump": jump, "times": times, "evaluations": evaluations, "mean": mean[1], "variance": covariance[1, 1]}
        )
    alpha_bar, steps = linear(1000, 12)
    noise = np.round(np.random.default_rng(1).normal(size=(80, 2)), 4)
    result["path"] = {"steps": steps.tolist(), "jump": 3, "times": 2, "noise": noise.ravel().tolist(), "states": path(alpha_bar, 3, 2, noise)}
    json.dump(result, sys.stdout, indent=1)
    print()


main()
