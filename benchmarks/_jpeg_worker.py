"""Run in each environment: `make FOLDER` paints a picture, `measure FOLDER BUDGET` prints seconds per call as JSON.

Only the standard library and Pillow.
"""

import io
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, features

SIZE = (3000, 2000)
OCTAVES = (3, 9, 40, 200, 1000, 3000)
"""Widths of the random pictures that are laid over each other: like a photograph, it has detail at every scale."""

KINDS: dict[str, dict[str, object]] = {
    "4:2:0, quality 75": {"quality": 75, "subsampling": 2},
    "4:2:2, quality 85": {"quality": 85, "subsampling": 1},
    "4:4:4, quality 95": {"quality": 95, "subsampling": 0},
    "4:2:0, quality 75, progressive": {"quality": 75, "subsampling": 2, "progressive": True},
}


def picture() -> Image.Image:
    """The same for every run; the weights of finer detail fall, as they do in photographs."""
    rng = random.Random(20261121)
    image = Image.new("RGB", SIZE, (128, 128, 128))
    for number, width in enumerate(OCTAVES):
        height = width * SIZE[1] // SIZE[0]
        layer = Image.frombytes("RGB", (width, height), rng.randbytes(3 * width * height)).resize(
            SIZE, Image.Resampling.BICUBIC
        )
        scale = 1.6**number
        image = ImageChops.add(image, layer.point(lambda v, scale=scale: int((v - 128) / scale) + 128), 1, -128)
    return image


def make(folder: Path) -> None:
    image = picture()
    (folder / "picture.rgb").write_bytes(image.tobytes())
    for name, options in KINDS.items():
        image.save(folder / f"{name}.jpg", "JPEG", **options)
    image.convert("L").save(folder / "gray, quality 85.jpg", "JPEG", quality=85)


def encode(image: Image.Image, options: Mapping[str, Any]) -> None:
    image.save(io.BytesIO(), "JPEG", **options)


def decode(data: bytes) -> None:
    Image.open(io.BytesIO(data)).load()


def operations(folder: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Name -> what is measured, and how many bytes of pixels it takes or gives."""
    image = Image.frombytes("RGB", SIZE, (folder / "picture.rgb").read_bytes())
    pixels = SIZE[0] * SIZE[1]
    calls: dict[str, tuple[Callable[[], object], int]] = {}
    for name, options in KINDS.items():
        calls[f"encode {name}"] = (partial(encode, image, options), 3 * pixels)
    for file in sorted(folder.glob("*.jpg")):
        data = file.read_bytes()
        channels = 1 if file.name.startswith("gray") else 3
        calls[f"decode {file.stem}"] = (partial(decode, data), channels * pixels)
    return calls


def fastest(call: Callable[[], object], budget: float) -> float:
    """Seconds of processor time of the fastest call within the budget, so that other programs do not count."""
    best, used = float("inf"), 0.0
    while used < budget:
        start = time.process_time()
        call()
        spent = time.process_time() - start
        best, used = min(best, spent), used + spent
    return best


def main() -> None:
    verb, folder = sys.argv[1], Path(sys.argv[2])
    if verb == "make":
        make(folder)
        return
    found = {name: (fastest(call, float(sys.argv[3])), size) for name, (call, size) in operations(folder).items()}
    about = {"pillow": Image.__version__, "libjpeg-turbo": features.version("libjpeg_turbo")}
    print(json.dumps({"operations": found, "about": about}))


main()
