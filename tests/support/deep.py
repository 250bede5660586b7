"""Files of 16 bits, which Pillow writes of grey pictures alone."""

import struct
import zlib

import numpy as np

PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # colour type by channels


def png(values: np.ndarray, significant: int | None = None) -> bytes:
    """A PNG of uint16 (height, width, channels), with a chunk sBIT where bits are stated."""
    height, width, channels = values.shape

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, PNG_KINDS[channels], 0, 0, 0)
    stated = b"" if significant is None else chunk(b"sBIT", bytes([significant] * channels))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", header) + stated + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(values: np.ndarray, order: str = "<", planes: int = 1, **tags: int | bytes) -> bytes:
    """An uncompressed TIFF of uint16 (height, width, channels); tags by number, such as t281=4095."""
    height, width, channels = values.shape
    entries = {256: width, 257: height, 258: (16,) * channels, 259: 1, 262: 2 if channels > 1 else 1, 277: channels}
    entries |= {278: height, 279: 2 * values.size, 284: planes} | {int(name[1:]): tag for name, tag in tags.items()}
    entries |= {338: 2} if channels == 4 else {}
    outside, fields = 8 + 2 + 12 * (len(entries) + 1) + 4, b""
    extra = b""
    for number in sorted({**entries, 273: None}):
        value = entries.get(number)
        kind, size, items = (2, "s", value) if isinstance(value, bytes) else (3, "H", value)
        items = items if isinstance(items, tuple | bytes) else (items,)
        if number == 273:
            fields += b"STRIP"
            continue
        data = items if kind == 2 else struct.pack(f"{order}{len(items)}{size}", *items)
        if len(data) > 4:
            place, extra = struct.pack(f"{order}I", outside + len(extra)), extra + data
        else:
            place = data.ljust(4, b"\0")
        fields += struct.pack(f"{order}HHI", number, kind, len(items)) + place
    strip = struct.pack(f"{order}HHII", 273, 4, 1, outside + len(extra))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries) + 1)
    pixels = values.astype(f"{order}u2").tobytes()
    return head + fields.replace(b"STRIP", strip) + struct.pack(f"{order}I", 0) + extra + pixels
