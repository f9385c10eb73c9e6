"""Reads a GGUF file with nothing but the standard library: read(path) -> (metadata, {tensor: (type, dims, bytes)})."""
import struct
from pathlib import Path

SCALARS = "BbHhIif?"
SIZES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110), 12: (256, 144),
         13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 30: (1, 2), 39: (32, 17)}  # type: weights and bytes of a block


def read(path):
    raw, at = Path(path).read_bytes(), 0

    def take(form):
        nonlocal at
        v = struct.unpack_from("<" + form, raw, at)
        at += struct.calcsize("<" + form)
        return v[0] if len(v) == 1 else v

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return raw[at - n:at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            elem, n = take("I"), take("Q")
            return [value(elem) for _ in range(n)]
        return take(SCALARS[kind] if kind < 8 else {10: "Q", 11: "q", 12: "d"}[kind])

    assert raw[:4] == b"GGUF"
    at = 4
    version, n_tensor, n_meta = take("I"), take("Q"), take("Q")
    meta = {}
    for _ in range(n_meta):
        key = text()
        assert key not in meta
        meta[key] = value(take("I"))
    infos = []
    for _ in range(n_tensor):
        name, n_dim = text(), take("I")
        dims = [take("Q") for _ in range(n_dim)]
        infos.append((name, dims, take("I"), take("Q")))
    base, tensors = (at + 31) // 32 * 32, {}
    for name, dims, kind, offset in infos:
        n = 1
        for d in dims:
            n *= d
        block, size = SIZES[kind]
        tensors[name] = (kind, dims, raw[base + offset:base + offset + n // block * size])
    return (meta, tensors) if version == 3 else None
