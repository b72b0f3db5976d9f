"""Paired differences by SciPy: what the tests of `Paired` and of Student's quantiles must find.

    pip install numpy==2.4.6 scipy==1.17.1
    python make_paired.py        # writes paired.json beside it, with the versions
"""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

HERE = Path(__file__).parent
DEGREES = [1, 2, 3, 4, 5, 6, 7, 9, 10, 19, 28, 29, 30, 99, 100, 499, 500, 999, 1000, 1001, 1002, 5000, 9999, 10**6, 10**9]


def case(n, spread, shift, noise, seed):
    """Scores of two models: a spread that they share, a shift between them, and noise of their own."""
    rng = np.random.default_rng(seed)
    a = 2500.0 + spread * rng.standard_normal(n)
    b = a + shift + noise * rng.standard_normal(n)
    # As decimals, so that the numbers in the file are the numbers compared.
    return np.array([float(f"{x:.6f}") for x in a]), np.array([float(f"{x:.6f}") for x in b])


def needed(deviation, mean):
    """The fewest numbers with an interval without 0, one after the other."""
    n = 2
    while stats.t.ppf(0.975, n - 1) * deviation / np.sqrt(n) >= abs(mean):
        n += 1
    return n


def describe(a, b):
    n, test = len(a), stats.ttest_rel(b, a)
    interval = test.confidence_interval(0.95)
    difference = b - a
    return {
        "a": list(a),
        "b": list(b),
        "mean_a": np.mean(a),
        "mean_b": np.mean(b),
        "mean": np.mean(difference),
        "standard_error": stats.sem(difference),
        "statistic": test.statistic,
        "degrees_of_freedom": int(test.df),
        "interval": [interval.low, interval.high],
        "unpaired_standard_error": float(np.sqrt(stats.sem(a) ** 2 + stats.sem(b) ** 2)),
        "correlation": stats.pearsonr(a, b).statistic,
        "examples_needed": needed(np.std(difference, ddof=1), np.mean(difference)),
    }


cases = {
    "two": case(2, 100.0, -3.0, 1.0, 1),
    "few, clear": case(12, 900.0, -40.0, 8.0, 2),
    "few, unclear": case(25, 900.0, 3.0, 30.0, 3),
    "many": case(300, 900.0, 1.0, 30.0, 4),
    "opposed": (lambda a, b: (a, 5000.0 - b))(*case(20, 50.0, 10.0, 5.0, 5)),
}
result = {
    "tools": {"numpy": np.__version__, "scipy": scipy.__version__},
    "quantiles": [[degrees, stats.t.ppf(0.975, degrees)] for degrees in DEGREES],
    "cases": {name: describe(a, b) for name, (a, b) in cases.items()},
}
# One line for each case.
lines = [f" {json.dumps(name)}: {json.dumps(part)}" for name, part in result["cases"].items()]
head = json.dumps({key: result[key] for key in ("tools", "quantiles")})
(HERE / "paired.json").write_text(head[:-1] + ', "cases": {\n' + ",\n".join(lines) + "\n}}\n")
