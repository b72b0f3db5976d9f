"""The numbers of tests/properties/reference.rs: python3 reference.py, with mpmath 1.3.0 and numpy 2.4.6."""

import numpy as np
from mpmath import erfc, exp, log, log1p, mp, mpf, nstr, pi, quad, sqrt, tanh

mp.dps = 1200  # differences of tails near 1e-300, and the tails themselves


def cdf(z):
    return erfc(-z / sqrt(mpf(2))) / 2


def log_cdf(z):
    z = mpf(z)
    return log1p(-cdf(-z)) if z > 0 else log(cdf(z))


def interval(a, b):
    a, b = (mpf(a), mpf(b)) if a < 0 else (-mpf(b), -mpf(a))
    if a < -1000:  # beyond erfc: the density's series about the end
        mp.dps = 60
        value = -a * a / 2 - log(2 * pi) / 2 + log(quad(lambda u: exp(-a * u - u * u / 2), [0, b - a]))
        mp.dps = 1200
        return value
    return log(cdf(b) - cdf(a))


def discretized(level, mean, log_scale, distribution, floor):
    precision, centre = exp(-mpf(log_scale)), mpf(level) * 2 / 255 - 1 - mpf(mean)
    upper, lower = (centre + mpf(1) / 255) * precision, (centre - mpf(1) / 255) * precision
    if level == 0:
        p = distribution(upper)
    elif level == 255:
        p = distribution(-lower)
    else:
        p = distribution(upper) - distribution(lower) if lower < 0 else distribution(-lower) - distribution(-upper)
    return log(max(p, floor))


def page(u):
    return (1 + tanh(sqrt(2 / pi) * (u + mpf("0.044715") * u**3))) / 2


CDF = [-37.5, -37.0, -30.0, -20.25, -10.0, -9.999, -5.3, -1.5, -1.4, -0.3, 0.7, 3.0, 8.0]
LOG_CDF = CDF + [-40.0, -100.0, -1234.5, 10.0, 20.0, 37.0]
INTERVALS = [(-1.0, 1.0), (0.5, 0.5000000001), (-8.25, -8.2499999), (30.0, 31.0), (37.25, 37.2500001), (-50.0, -49.0),
             (-60.0, -59.999), (2.0, 3.5), (-0.4, 0.55), (-100.0, 0.25), (0.0, 0.0009765625), (-3.0, 2.0),
             (-100000.000001, -1e5)]
LEVELS = [(0, -0.9, -3.0), (255, 0.2, -1.0), (128, 0.1, -2.0), (3, 0.5, -3.2), (200, -1.0, -3.0), (250, -0.99, -2.95),
          (77, -0.4, -5.5), (77, -0.4, 10.0), (128, 0.001, -7.0), (10, 30.0, 1.0), (255, -1.0, -2.925), (0, 1.0, -2.925),
          (254, -1.0, -2.925)]

print("cdf", *[f"({z!r}, {nstr(cdf(mpf(z)), 17)})," for z in CDF], sep="\n")
print("log_cdf", *[f"({z!r}, {nstr(log_cdf(z), 17)})," for z in LOG_CDF], sep="\n")
print("log_cdf_difference", *[f"({a!r}, {b!r}, {nstr(interval(a, b), 17)})," for a, b in INTERVALS], sep="\n")
for name, distribution, floor in [("exact", cdf, mpf(0)), ("tanh", page, mpf("1e-12"))]:
    print(name)
    for level in LEVELS:
        print(f"({', '.join(map(repr, level))}, {nstr(discretized(*level, distribution, floor), 17)}),")

# The time steps of diffusers' schedulers for T = 1000 and 2 to 1000 steps, as one FNV-1a hash a spacing.
for name in ["leading", "linspace", "trailing"]:
    code = 0xCBF29CE484222325
    for n in range(2, 1001):
        if name == "leading":
            steps = (np.arange(0, n) * (1000 // n)).round()
        elif name == "linspace":
            steps = np.linspace(0, 999, n).round()
        else:
            steps = np.round(np.arange(1000, 0, -1000 / n))[::-1] - 1
        for step in steps[-n:]:  # for 62 values of n, arange returns one entry too many, which becomes step -1
            code = ((code ^ (int(step) + 1)) * 0x100000001B3) & (2**64 - 1)
    print(name, hex(code))

# The families' formulas with their default parameters and T = 1000: alpha_bar at t = 1, 500 and 1000, 1 - alpha_bar at 1.
mp.dps = 50
T, START, END, CAP, S = 1000, mpf("1e-4"), mpf("0.02"), mpf("0.999"), mpf("0.008")
FRACTION = [mpf(t - 1) / (T - 1) for t in range(1, T + 1)]


def squared_cosine(angle):
    f = [mp.cos(angle(mpf(t) / T)) ** 2 for t in range(T + 1)]
    betas = [1 - f[t] / f[t - 1] for t in range(1, T + 1)]
    return [min(beta, CAP) if beta > 0 else betas[0] for beta in betas]


def linear_log_snr(first, last):
    left = [1 / (1 + exp(-(first + (last - first) * u))) for u in FRACTION]
    return [1 - after / before for before, after in zip([mpf(1), *left], left)]


FAMILIES = {
    "linear": [START + (END - START) * u for u in FRACTION],
    "quadratic": [START + (END - START) * u**2 for u in FRACTION],
    "scaled-linear": [(sqrt(START) + (sqrt(END) - sqrt(START)) * u) ** 2 for u in FRACTION],
    "cosine": squared_cosine(lambda u: (u + S) / (1 + S) * pi / 2),
    "notes-cosine": squared_cosine(lambda u: (u + S) * pi / 2),
    "sigmoid": [START + (END - START) / (1 + exp(6 - 12 * u)) for u in FRACTION],
    "constant": [mpf("0.01")] * T,
    "jensen-shannon": [min(mpf(1) / (T - t + 1), CAP) for t in range(1, T + 1)],
    "linear-log-snr": linear_log_snr(mpf("9.21"), mpf(-10)),
}
for name, betas in FAMILIES.items():
    products = [mpf(1)]
    for beta in betas:
        products.append(products[-1] * (1 - beta))
    print(f'("{name}", {", ".join(nstr(products[t], 17) for t in (1, 500, 1000))}, {nstr(1 - products[1], 17)}),')
