"""Reads the events of `sfumato train --tensorboard DIR` with TensorBoard itself, and compares them with the run.

    python3 -m venv board-python && board-python/bin/pip install tensorboard==2.21.0
    sfumato train --steps 20 --sample-every 10 --out runs/a --tensorboard board
    board-python/bin/python crates/cli/tests/tensorboard/read.py board runs/a
"""

import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

board, run = sys.argv[1], pathlib.Path(sys.argv[2])
events = EventAccumulator(board, size_guidance={"scalars": 0, "images": 0})
events.Reload()


def single(number):
    return struct.unpack("f", struct.pack("f", number))[0]


lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
for tag in ("loss", "grad_norm", "learning_rate", "images_per_second"):
    found = [(event.step, event.value) for event in events.Scalars(tag)]
    assert found == [(line["step"], single(line[tag])) for line in lines], tag
pictures = {event.step: event for event in events.Images("samples")}
grids = {int(path.stem.removeprefix("step-")): path.read_bytes() for path in sorted((run / "samples").glob("step-*.png"))}
assert pictures.keys() == grids.keys()
for step, event in pictures.items():
    assert event.encoded_image_string == grids[step]
    assert struct.unpack(">II", grids[step][16:24]) == (event.width, event.height)
print(f"{len(events.Tags()['scalars'])} scalars of {len(lines)} lines, {len(pictures)} pictures: as in {run}")
