"""Features of pytorch-fid's Inception-v3 on weights and pictures that are formulas: `python make_inception.py`, see requirements.txt.

Number i of the tensor NAME is that of crates/model/tests/golden/formula.py. Kernels are `u √(6 / fan_in)`, scales and variances of
norms `1 + 0.3 u`, shifts and means `0.1 u`.
"""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[3] / "model/tests/golden"))
from formula import uniform  # noqa: E402

import pytorch_fid.fid_score as fid_score  # noqa: E402
import pytorch_fid.inception as inception  # noqa: E402


def weight(name, shape):
    u = uniform(name, math.prod(shape))
    if len(shape) == 4:
        values = u * math.sqrt(6 / math.prod(shape[1:]))
    elif name.endswith(("bn.weight", "running_var")):
        values = 1 + 0.3 * u
    else:
        values = 0.1 * u
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def pictures(name, count, shape):
    """Bytes: each picture is brighter and richer in contrast than the one before."""
    u = uniform(name, count * math.prod(shape)).reshape(count, *shape)
    p = np.arange(count).reshape(count, 1, 1, 1)
    return np.minimum(np.floor((u + 1) / 2 * (60 + 35 * p)) + 10 * p, 255)


def formula_weights(*_, **__):
    """In place of the download: the network's own names, from the formula."""
    model = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    names = {name: tensor.shape for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    return {name: weight(name, tuple(shape)) for name, shape in names.items()} | {
        name: tensor for name, tensor in model.state_dict().items() if not tensor.is_floating_point()
    }


def main():
    inception.load_state_dict_from_url = formula_weights
    model = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    sets = [pictures("grey", 3, (1, 28, 28)).repeat(3, axis=1), pictures("rgb", 3, (3, 32, 45))]
    features = []
    with torch.no_grad():
        for images in sets:
            # As torchvision's ToTensor makes them of bytes.
            x = torch.from_numpy(images.astype(np.float32)) / 255
            features.append(model(x)[0].squeeze(3).squeeze(2).numpy())
    np.save("inception.npy", np.concatenate(features))
    moments = [(f.astype(np.float64).mean(0), np.cov(f.astype(np.float64), rowvar=False)) for f in features]
    sqrtm = fid_score.linalg.sqrtm
    # pytorch-fid 0.3.0 asks for an argument that newer releases of scipy no longer have.
    fid_score.linalg.sqrtm = lambda a, disp=True: sqrtm(a) if disp else (sqrtm(a), None)
    fid = float(fid_score.calculate_frechet_distance(*moments[0], *moments[1]))
    tools = {name: version(name) for name in ["pytorch-fid", "torch", "torchvision", "scipy"]}
    with open("inception.json", "w") as file:
        json.dump({"tools": tools, "fid": fid}, file, indent=1)
        file.write("\n")


main()
