"""Pictures of every kind that people bring, with the pixels that Pillow and numpy give them.

python3 make.py     writes them beside itself, and expected.json; made with Pillow 13.0.0 and numpy 2.4.6.
"""
import io, json, os, struct, zlib
import numpy as np
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
expected = {}
H, W = 6, 10


def keep(name, rgb):
    rgb = np.asarray(rgb, "uint8")
    expected[name] = {"size": list(rgb.shape[:2]), "rgb": rgb.tobytes().hex()}


def white(rgba):
    rgba = rgba.astype(int)
    a = rgba[..., 3:]
    return (rgba[..., :3] * a + 255 * (255 - a) + 127) // 255


def png(name, depth, colour, rows, interlaced=False, extra=b"", width=W, height=H):
    """A PNG chunk by chunk: rows are bytes; interlaced ones are those of the seven passes."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    for kind, body in extra or []:
        data += chunk(kind, body)
    data += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b"")
    open(name, "wb").write(data)


def packed(values, depth):
    per = 8 // depth
    rows = []
    for row in values:
        row = list(row) + [0] * (-len(row) % per)
        rows.append(bytes(sum(v << (8 - depth * (i + 1)) for i, v in enumerate(row[k:k + per])) for k in range(0, len(row), per)))
    return rows


y, x = np.mgrid[:H, :W]
grey = (x * 25 + y).astype("uint8")
rgb = np.stack([x * 25, y * 40, (x * y) % 256], -1).astype("uint8")
triple = lambda g: np.repeat(np.asarray(g)[..., None], 3, -1)

for depth in (1, 2, 4):
    values = (x + y) % (1 << depth)
    png(f"grey{depth}.png", depth, 0, packed(values, depth))
    keep(f"grey{depth}.png", triple(values * 255 // ((1 << depth) - 1)))
colours = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 255], [9, 9, 9]], "uint8")
index = (x + y) % 4
palette = colours.tobytes()
png("palette.png", 2, 3, packed(index, 2), extra=[(b"PLTE", palette)])
keep("palette.png", colours[index])
png("palette-trns.png", 2, 3, packed(index, 2), extra=[(b"PLTE", palette), (b"tRNS", bytes([0, 128]))])
rgba = np.concatenate([colours, [[0], [128], [255], [255]]], 1)
keep("palette-trns.png", white(rgba[index]))
png("colour-key.png", 8, 2, [row.tobytes() for row in rgb], extra=[(b"tRNS", struct.pack(">HHH", *map(int, rgb[2, 3])))])
alpha = np.where((rgb == rgb[2, 3]).all(-1), 0, 255)
keep("colour-key.png", white(np.concatenate([rgb, alpha[..., None]], -1)))
png("grey-key.png", 8, 0, [row.tobytes() for row in grey], extra=[(b"tRNS", struct.pack(">H", int(grey[1, 1])))])
keep("grey-key.png", triple(np.where(grey == grey[1, 1], 255, grey)))
la = np.stack([grey, 255 - grey], -1)
png("grey-alpha.png", 8, 4, [row.tobytes() for row in la])
keep("grey-alpha.png", white(np.concatenate([triple(grey), (255 - grey)[..., None]], -1)))
deep = np.concatenate([rgb, (255 - grey)[..., None]], -1).astype(">u2") * 257
png("rgba16.png", 16, 6, [row.astype(">u2").tobytes() for row in deep])
keep("rgba16.png", white((deep // 257).astype(int)))
words = (x * 6000 + y * 100).astype(">u2")
png("grey16.png", 16, 0, [row.tobytes() for row in words])
keep("grey16.png", triple(np.round(words.astype(float) / 257)))
passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
rows = [row.tobytes() for top, left, down, right in passes for row in rgb[top::down, left::right] if row.size]
png("interlaced.png", 8, 2, rows, interlaced=True)
keep("interlaced.png", rgb)
frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
frames[0].save("animated.png", save_all=True, append_images=frames[1:])
keep("animated.png", rgb)
png("one.png", 8, 0, [b"\x07"], width=1, height=1)
keep("one.png", [[[7, 7, 7]]])
# A palette whose length is no multiple of three, on which the decoder panics.
png("bad-palette.png", 2, 3, packed(index, 2), extra=[(b"PLTE", palette[:10])])

Image.fromarray(rgb).save("picture.bmp")
Image.fromarray(rgb).save("picture.tif", compression="tiff_lzw")
Image.fromarray(rgb).save("picture.webp", lossless=True)
for name in ("picture.bmp", "picture.tif", "picture.webp"):
    keep(name, rgb)
quantised = [Image.fromarray(colours[(index + k) % 4]).convert("P", palette=Image.ADAPTIVE) for k in range(2)]
quantised[0].save("animated.gif", save_all=True, append_images=quantised[1:])
keep("animated.gif", colours[index])

# JPEGs: smooth, so that decoders agree to a few levels.
H, W = 20, 26
y, x = np.mgrid[:H, :W]
smooth = np.stack([x * 9, y * 12, 255 - x * 4 - y * 2], -1).clip(0, 255).astype("uint8")


def jpeg(name, image, **how):
    image.save(name, "JPEG", quality=95, **how)
    keep(name, Image.open(name).convert("RGB"))


rgb_image, grey_image = Image.fromarray(smooth), Image.fromarray(smooth[..., 0])
jpeg("base444.jpg", rgb_image, subsampling=0)
jpeg("base420.jpg", rgb_image, subsampling=2, optimize=True)
jpeg("restart.jpg", rgb_image, subsampling=2, restart_marker_blocks=2)
jpeg("progressive444.jpg", rgb_image, subsampling=0, progressive=True)
jpeg("progressive420.jpg", rgb_image, subsampling=2, progressive=True)
jpeg("progressive-restart.jpg", rgb_image, subsampling=1, progressive=True, restart_marker_rows=1)
jpeg("grey.jpg", grey_image)
jpeg("grey-progressive.jpg", grey_image, progressive=True)
cmyk = rgb_image.convert("CMYK")
jpeg("cmyk.jpg", cmyk)
jpeg("cmyk-progressive.jpg", cmyk, progressive=True)
json.dump(expected, open("expected.json", "w"), separators=(",", ":"))
