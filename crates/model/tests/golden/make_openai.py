"""Makes `openai/`: checkpoints of improved-diffusion and guided-diffusion as torch writes them, and what their networks answer.

The networks are written down here from the papers (Nichol & Dhariwal 2021; Dhariwal & Nichol 2021) and the names and shapes of the
published checkpoints: one function that asks for each tensor by name and shape where it needs it, so that the state dict is what the
forward pass has asked for. Numbers come from `formula.py`.

- NAME.json: the flags, times, labels, and every tensor's shape in the order of use; NAME.safetensors: `output` for the input `sample`.
- zip.pt and legacy.pt: the case `tiny` saved by torch in both containers, zip.pt with its inner blocks in half precision.
- odd.pt and odd-legacy.pt: views, strides, parameters and element types; odd.safetensors holds their values.

Made with Python 3.11, torch 2.9.1, safetensors 0.8.0; the versions stand in the metadata of the outputs.

    pip install torch==2.9.1 safetensors==0.8.0 numpy
    python make_openai.py
"""

import collections
import json
import math
import pathlib
import platform

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F

import formula

HERE = pathlib.Path(__file__).parent / "openai"

# name: (project, flags, times as the network sees them, labels, what the flags mean for the network)
CASES = {
    "improved": (
        "improved-diffusion",
        "--image_size 32 --num_channels 32 --num_res_blocks 1 --learn_sigma True --diffusion_steps 4000 --noise_schedule cosine",
        [0.0, 999.0], None,
        dict(side=32, width=32, multiples=(1, 2, 2, 2), layers=1, attend={16, 8}, heads=4, shift=True, outputs=6),
    ),
    "improved-classes": (
        "improved-diffusion",
        "--image_size 32 --num_channels 32 --num_res_blocks 2 --class_cond True --num_heads 1 --use_scale_shift_norm False "
        "--attention_resolutions 16 --sigma_small True --predict_xstart True",
        [400.0], [7],
        dict(side=32, width=32, multiples=(1, 2, 2, 2), layers=2, attend={16}, heads=1, shift=False, outputs=3, classes=10),
    ),
    # Four heads at levels of 96 and of 128 channels.
    "improved-heads": (
        "improved-diffusion", "--image_size 64 --num_channels 32 --num_res_blocks 1 --rescale_timesteps False",
        [500.0], None,
        dict(side=64, width=32, multiples=(1, 2, 3, 4), layers=1, attend={16, 8}, heads=4, shift=True, outputs=3),
    ),
    "guided": (
        "guided-diffusion",
        "--image_size 64 --channel_mult 1,2,3 --num_channels 32 --num_head_channels 32 --num_res_blocks 1 --resblock_updown True "
        "--use_new_attention_order True --class_cond True --learn_sigma True --attention_resolutions 32,16 --use_fp16 True",
        [17.0], [0],
        dict(
            side=64, width=32, multiples=(1, 2, 3), layers=1, attend={32, 16}, head_dim=32, shift=True, outputs=6, classes=4,
            resnets=True, new_order=True,
        ),
    ),
    "tiny": (
        "guided-diffusion",
        "--image_size 16 --channel_mult 1,1 --num_channels 32 --num_heads 2 --num_res_blocks 1 --attention_resolutions 8",
        [0.0, 250.0], None,
        dict(side=16, width=32, multiples=(1, 1), layers=1, attend={8}, heads=2, shift=True, outputs=3),
    ),
}


def unet(get, x, times, labels, *, side, width, multiples, layers, attend, shift, outputs, heads=None, head_dim=None,
         classes=None, resnets=False, new_order=False):
    """The network's answer; `get(name, shape)` gives its tensors."""

    def affine(name, x, out, kind):
        weight = get(f"{name}.weight", (out, x.shape[1]) + {"linear": (), "one": (1,), "point": (1, 1), "conv": (3, 3), "down": (3, 3)}[kind])
        bias = get(f"{name}.bias", (out,))
        if kind == "linear":
            return F.linear(x, weight, bias)
        if kind == "one":
            return F.conv1d(x, weight, bias)
        return F.conv2d(x, weight, bias, stride=2 if kind == "down" else 1, padding=0 if kind == "point" else 1)

    def norm(name, x):
        c = x.shape[1]
        return F.group_norm(x, 32, get(f"{name}.weight", (c,)), get(f"{name}.bias", (c,)), eps=1e-5)

    def up(x):
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    def residual(name, x, out, resize=lambda x: x):
        h = resize(F.silu(norm(f"{name}.in_layers.0", x)))
        x = resize(x)
        h = affine(f"{name}.in_layers.2", h, out, "conv")
        time = affine(f"{name}.emb_layers.1", F.silu(embedding), 2 * out if shift else out, "linear")[:, :, None, None]
        if shift:
            h = norm(f"{name}.out_layers.0", h) * (1 + time[:, :out]) + time[:, out:]
        else:
            h = norm(f"{name}.out_layers.0", h + time)
        h = affine(f"{name}.out_layers.3", F.silu(h), out, "conv")
        if x.shape[1] != out:
            x = affine(f"{name}.skip_connection", x, out, "point")
        return x + h

    def attention(name, x):
        n, c, rows, columns = x.shape
        dim = head_dim or c // heads
        qkv = affine(f"{name}.qkv", norm(f"{name}.norm", x).reshape(n, c, -1), 3 * c, "one")
        if new_order:
            q, k, v = qkv.reshape(n, 3, c // dim, dim, -1).unbind(1)
        else:
            q, k, v = qkv.reshape(n, c // dim, 3, dim, -1).unbind(2)
        weights = torch.softmax(q.transpose(2, 3) @ k / math.sqrt(dim), dim=-1)
        h = (v @ weights.transpose(2, 3)).reshape(n, c, -1)
        return x + affine(f"{name}.proj_out", h, c, "one").reshape(n, c, rows, columns)

    angles = torch.tensor(times)[:, None] * torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2))
    features = torch.cat([angles.cos(), angles.sin()], dim=1)
    embedding = affine("time_embed.2", F.silu(affine("time_embed.0", features, 4 * width, "linear")), 4 * width, "linear")
    if classes:
        embedding = embedding + get("label_emb.weight", (classes, 4 * width))[torch.tensor(labels)]

    h = affine("input_blocks.0.0", x, width * multiples[0], "conv")
    kept, block = [h], 1
    for level, multiple in enumerate(multiples):
        for _ in range(layers):
            h = residual(f"input_blocks.{block}.0", h, width * multiple)
            if side >> level in attend:
                h = attention(f"input_blocks.{block}.1", h)
            kept.append(h)
            block += 1
        if level < len(multiples) - 1:
            name = f"input_blocks.{block}.0"
            h = residual(name, h, h.shape[1], lambda x: F.avg_pool2d(x, 2)) if resnets else affine(f"{name}.op", h, h.shape[1], "down")
            kept.append(h)
            block += 1
    h = residual("middle_block.0", h, h.shape[1])
    h = attention("middle_block.1", h)
    h = residual("middle_block.2", h, h.shape[1])
    block = 0
    for level, multiple in reversed(list(enumerate(multiples))):
        for layer in range(layers + 1):
            part = 1
            h = residual(f"output_blocks.{block}.0", torch.cat([h, kept.pop()], dim=1), width * multiple)
            if side >> level in attend:
                h = attention(f"output_blocks.{block}.{part}", h)
                part += 1
            if level and layer == layers:
                name = f"output_blocks.{block}.{part}"
                h = residual(name, h, h.shape[1], up) if resnets else affine(f"{name}.conv", up(h), h.shape[1], "conv")
            block += 1
    return affine("out.2", F.silu(norm("out.0", h)), outputs, "conv")


def run(case, weight=formula.weight):
    """A case's output, and its state dict as the forward pass asked for it."""
    _, _, times, labels, structure = CASES[case]
    state = collections.OrderedDict()

    def get(name, shape):
        if name not in state:
            state[name] = weight(name, shape)
        return state[name].float()

    x = formula.noise("sample", (len(times), 3, structure["side"], structure["side"]))
    with torch.no_grad():
        output = unet(get, x, times, labels, **structure)
    return output.contiguous(), state


def odd():
    """Tensors of every kind that a state dict may hold."""
    base = formula.noise("base", (4, 6))
    tensors = collections.OrderedDict()
    tensors["whole"] = base
    tensors["rows"] = base[1:3]
    tensors["transposed"] = base.T
    tensors["corner"] = base[1:, 2:5]
    tensors["parameter"] = torch.nn.Parameter(formula.noise("parameter", (2, 3)))
    tensors["scalar"] = torch.tensor(1.5)
    tensors["empty"] = torch.zeros(0, 3)
    tensors["double"] = formula.noise("double", (3,)).double()
    tensors["half"] = formula.noise("half", (3,)).half()
    tensors["bfloat"] = formula.noise("bfloat", (3,)).bfloat16()
    tensors["integers"] = torch.arange(5)
    # What Module.state_dict leaves beside the tensors.
    tensors._metadata = collections.OrderedDict({"": {"version": 1}})
    return tensors


def main():
    HERE.mkdir(exist_ok=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "safetensors": safetensors.__version__}
    for name, (project, flags, times, labels, _) in CASES.items():
        output, state = run(name)
        shapes = {key: list(tensor.shape) for key, tensor in state.items()}
        case = {"project": project, "flags": flags, "times": times, "labels": labels}
        text = json.dumps(case, indent=2)[:-2] + ',\n  "tensors": ' + json.dumps(shapes) + "\n}\n"
        (HERE / f"{name}.json").write_text(text)
        safetensors.torch.save_file({"output": output}, HERE / f"{name}.safetensors", metadata=versions)
        print(f"{name:18} {sum(t.numel() for t in state.values()):>9} parameters, output up to {output.abs().max():.3f}")

    def half(name, shape):
        torso = name.startswith(("input_blocks", "middle_block", "output_blocks")) and ".norm" not in name
        return formula.weight(name, shape).half() if torso else formula.weight(name, shape)

    output, state = run("tiny", half)
    torch.save(state, HERE / "zip.pt")
    safetensors.torch.save_file({"output": output}, HERE / "zip.safetensors", metadata=versions)
    torch.save(run("tiny")[1], HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(odd(), HERE / "odd.pt")
    torch.save(odd(), HERE / "odd-legacy.pt", _use_new_zipfile_serialization=False)
    values = {name: tensor.detach().float().clone().contiguous() for name, tensor in odd().items() if name != "integers"}
    safetensors.torch.save_file(values, HERE / "odd.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
