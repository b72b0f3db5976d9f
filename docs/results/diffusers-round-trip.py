"""Does diffusers draw the same pictures from an exported model? Run by the commands in diffusers-round-trip.md.

    python diffusers-round-trip.py --sfumato target/release/sfumato --model EXPORTED [--class K] [--num N]

Loads the directory with diffusers, records one set of noise, draws with diffusers' DDPMPipeline (with UNet2DModel and DDPMScheduler for
a class-conditional model, which DDPMPipeline has no labels for) and with `sfumato sample --noise` over every step of the chain, and
prints the largest difference of the images, which are in [-1, 1]. Then lets diffusers write the pipeline and compares the bytes
of its weights with the exported ones, and with those of `sfumato export` from diffusers' directory.
"""

import argparse
import pathlib
import subprocess
import tempfile

import diffusers
import numpy as np
import torch
from diffusers.pipelines.ddpm import pipeline_ddpm
from diffusers.schedulers import scheduling_ddpm

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sfumato", required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--class", dest="label", type=int)
    parser.add_argument("--num", type=int, default=4)
    args = parser.parse_args()

    pipeline = diffusers.DDPMPipeline.from_pretrained(args.model)
    pipeline.set_progress_bar_config(disable=True)
    unet, scheduler = pipeline.unet, pipeline.scheduler
    steps = scheduler.config.num_train_timesteps
    print(f"diffusers {diffusers.__version__}, torch {torch.__version__}")
    print(f"{type(unet).__name__} of {sum(p.numel() for p in unet.parameters())} parameters, {type(scheduler).__name__}, {steps} steps")

    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(0)
    # x_T, then one entry for each step but the last, which adds none.
    noise = torch.randn(steps, args.num, unet.config.in_channels, height, width, generator=generator)

    draws = iter(noise)

    def recorded(shape, **_):
        entry = next(draws)
        assert tuple(shape) == tuple(entry.shape)
        return entry.clone()

    pipeline_ddpm.randn_tensor = scheduling_ddpm.randn_tensor = recorded
    with torch.no_grad():
        if args.label is None:
            images = pipeline(batch_size=args.num, num_inference_steps=steps, output_type="np").images
            theirs = 2 * np.moveaxis(images, 3, 1) - 1
        else:
            labels = torch.full((args.num,), args.label)
            x = recorded(noise.shape[1:])
            scheduler.set_timesteps(steps)
            for t in scheduler.timesteps:
                x = scheduler.step(unet(x, t, labels).sample, t, x).prev_sample
            theirs = x.clamp(-1, 1).numpy()

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "noise.npy", noise.numpy())
        command = [args.sfumato, "sample", "--model", args.model, "--num", str(args.num), "--sampler", "ddpm", "--steps", str(steps)]
        command += ["--noise", folder / "noise.npy", "--out", folder / "samples"]
        command += [] if args.label is None else ["--class", str(args.label)]
        subprocess.run(command, check=True, capture_output=True)
        ours = np.load(folder / "samples/samples.npy").clip(-1, 1)
        difference = np.abs(ours - theirs)
        print(f"{args.num} images of {ours.shape[1:]}: largest difference {difference.max():.2e}, mean {difference.mean():.2e}")
        print(f"(the images' standard deviation is {theirs.std():.3f})")

        exported = (args.model / WEIGHTS).read_bytes()
        pipeline.save_pretrained(folder / "diffusers")
        same = (folder / "diffusers" / WEIGHTS).read_bytes() == exported
        print(f"weights written by diffusers: {'the same bytes' if same else 'OTHER BYTES'}")
        back = folder / "back"
        subprocess.run([args.sfumato, "export", "--model", folder / "diffusers", "--out", back], check=True, capture_output=True)
        same = (back / WEIGHTS).read_bytes() == exported
        print(f"and exported from there again: {'the same bytes' if same else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
