"""Pillow encodes and decodes with the native libjpeg-turbo and zlib, and each of them is mapped once."""

import io
import os
from pathlib import Path

from PIL import Image, ImageChops, features

assert features.check("jpg")
assert features.check("zlib")
assert features.check_feature("libjpeg_turbo"), "another libjpeg"

image = Image.merge("RGB", [Image.radial_gradient("L"), Image.linear_gradient("L"), Image.new("L", (256, 256), 90)])
for options in ({}, {"progressive": True, "optimize": True}, {"subsampling": 0}):
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=95, **options)
    assert 2_000 < len(packed.getvalue()) < 60_000, len(packed.getvalue())
    back = Image.open(packed)
    back.load()
    assert (back.mode, back.size, back.format) == ("RGB", (256, 256), "JPEG")
    worst = max(high for _, high in ImageChops.difference(image, back).getextrema())
    assert worst <= 12, (options, worst)
half = Image.open(packed)
half.draft("RGB", (128, 128))  # libjpeg's own scaling
assert half.size == (128, 128)
assert half.getpixel((64, 64))[2] in range(84, 97)

lossless = io.BytesIO()
image.save(lossless, "PNG")
assert Image.open(lossless).tobytes() == image.tobytes()

maps = Path("/proc/self/maps")
if os.name == "posix" and maps.exists():  # Wine shows Windows programs the file, too
    files = {line.split()[-1] for line in maps.read_text().splitlines() if ".so" in line}
    for library, package in (("jpeg", "native_libjpeg_turbo"), ("z", "native_zlib")):
        copies = [f for f in files if Path(f).name.startswith((f"lib{library}-", f"lib{library}.")) and package in f]
        assert len(copies) == 1, (library, copies)
        assert not [f for f in files if Path(f).name.startswith(f"lib{library}-") and package not in f], files
print("Pillow", Image.__version__, features.version("libjpeg_turbo"), features.version("zlib"))
