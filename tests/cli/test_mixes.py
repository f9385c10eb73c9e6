"""The type that each tensor gets by a mix, against those of llama.cpp's quantizer (fixtures/mixes.json), with importances and without."""
import json, os, struct
from pathlib import Path

import pytest

import mix_models
import tiny_model
from gguf_file import read
from test_quantize import NAMES

THEIRS = json.loads((Path(__file__).parent.parent / "fixtures/mixes.json").read_text())


def narrow(row):
    return row.replace("Q4_0", "IQ4_NL")


def expected(name, mix):
    """Theirs, but for what ours has a reason for: IQ4_NL is as large as Q4_0 and nearer where rows are no whole blocks of Q2_K and Q3_K; Q4_0 stays
    what it is with importances, and smaller."""
    rows = THEIRS[name][mix]
    if mix == "q4_0+":
        rows = THEIRS[name][mix[:-1]]
    elif mix.startswith(("q2_k", "q3_k")):
        rows = {part: narrow(row) for part, row in rows.items()}
    return rows


def importances(path, model):
    infos, data = [], b""
    for tensor, (_, dims, _) in read(model)[1].items():
        if len(dims) > 1 and "gate_inp" not in tensor:
            n = dims[2] if len(dims) > 2 else 1
            for end, count in (("in_sum2", dims[0] * n), ("counts", n)):
                raw = struct.pack(f"<{count}f", *[1.0] * count)
                infos.append((f"{tensor}.{end}", [count // n, n], 0, len(raw)))
                data += raw + b"\0" * (-len(raw) % 32)
    meta = {"general.type": "imatrix", "imatrix.datasets": ["alike"], "imatrix.chunk_count": 1, "imatrix.chunk_size": 512}
    path.write_bytes(tiny_model.head(meta, infos) + data)


@pytest.mark.parametrize("name", ["narrow"] if os.environ.get("LATHE_CHECK_KIND") else mix_models.MODELS)
def test_types_are_those_of_others(run, tmp_path, name):
    model, made = tmp_path / "m.gguf", tmp_path / "q.gguf"
    mix_models.write(model, name)
    importances(tmp_path / "im.gguf", model)
    for mix in THEIRS[name]:
        args = ["--imatrix", tmp_path / "im.gguf"] if mix.endswith("+") else []
        r = run("quantize", model, made, "--type", mix.rstrip("+"), *args)
        assert r.returncode == 0, r.stderr.decode()
        got = mix_models.by_tensor({n: NAMES[t[0]] for n, t in read(made)[1].items()})
        assert got == expected(name, mix), mix
        made.unlink()
    assert len(THEIRS[name]) > 4
