"""lathe convert and --load-as: the same weights in another container or type, whole or not at all."""
import os, resource, signal, subprocess

import pytest

import gguf_file
import hf_folder
import tiny_model
from conftest import PROGRAM

TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8}


def convert(run, source, target, *args):
    r = run("convert", source, target, *args)
    assert r.returncode == 0 and r.stdout == b"", r.stderr.decode()
    return gguf_file.read(target)


def refuse(run, code, words, *args):
    r = run("convert", *args)
    err = r.stderr.decode(errors="replace")
    assert r.returncode == code and words in err and err.count("\n") == 1, (r.returncode, err)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0"):
        tiny_model.write(str(folder / f"{kind}.gguf"), kind)
    return folder


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("shards", [1, 3])
def test_folder_becomes_the_file_it_stands_for(run, source, tmp_path, kind, shards):
    folder = hf_folder.write(tmp_path / "m", kind, shards=shards, norms=kind if shards == 1 else None, pad=shards == 1)
    meta, tensors = convert(run, folder, tmp_path / "out.gguf")
    want_meta, want = gguf_file.read(source / f"{kind}.gguf")
    if kind != "F32" and shards == 1:  # norms in 16 bits become f32: of their own values
        norms = {n for n, t in want.items() if len(t[1]) == 1}
        assert all(tensors[n][0] == 0 for n in norms)
        want = {n: t for n, t in want.items() if n not in norms}
        tensors = {n: t for n, t in tensors.items() if n not in norms}
    assert tensors == want
    assert "llama.rope.halves" not in meta and meta["llama.attention.key_length"] == 16
    for key, value in want_meta.items():
        if key.startswith("llama.") or key in ("general.architecture", "tokenizer.chat_template"):
            assert meta[key] == value, key


def test_a_file_becomes_itself(run, source, tmp_path):
    for kind in ("F32", "Q8_0", "Q4_0"):
        assert convert(run, source / f"{kind}.gguf", tmp_path / "a.gguf") == gguf_file.read(source / f"{kind}.gguf")
        first = (tmp_path / "a.gguf").read_bytes()
        convert(run, tmp_path / "a.gguf", tmp_path / "b.gguf")
        convert(run, tmp_path / "a.gguf", tmp_path / "a.gguf")  # over itself
        assert (tmp_path / "b.gguf").read_bytes() == first == (tmp_path / "a.gguf").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.gguf", "b.gguf"]


def values(kind, raw):
    import struct
    if kind == 0:
        return struct.unpack(f"<{len(raw) // 4}f", raw)
    if kind == 1:
        return struct.unpack(f"<{len(raw) // 2}e", raw)
    if kind == 30:
        return struct.unpack(f"<{len(raw) // 2}f", b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2)))
    out = []
    for i in range(0, len(raw), 34):
        d, *q = struct.unpack_from("<e32b", raw, i)
        out += [d * x for x in q]
    return out


@pytest.mark.parametrize("kind", TYPES)
def test_type(run, source, tmp_path, kind):
    meta, tensors = convert(run, source / "F32.gguf", tmp_path / "out.gguf", "--type", kind)
    _, want = gguf_file.read(source / "F32.gguf")
    assert meta["general.file_type"] == {"f32": 0, "f16": 1, "bf16": 32, "q8_0": 7}[kind]
    bound = {"f32": 0, "f16": 2.0 ** -11, "bf16": 2.0 ** -8, "q8_0": 0}[kind]
    for name, (type_id, dims, raw) in tensors.items():
        if len(dims) == 1:
            assert (type_id, dims, raw) == want[name]
            continue
        assert type_id == TYPES[kind] and dims == want[name][1]
        exact = values(0, want[name][2])
        for block in range(0, len(exact), 32):
            step = max(map(abs, exact[block:block + 32])) / 127 if kind == "q8_0" else 0
            for a, b in zip(exact[block:block + 32], values(type_id, raw[block // 32 * 34:][:34] if kind == "q8_0" else
                                                            raw[block * len(raw) // len(exact):][:32 * len(raw) // len(exact)])):
                assert abs(a - b) <= bound * abs(a) + step * (0.5 + 127 * 2.0 ** -11) + (2.0 ** -25 if kind == "f16" else 0)


def test_rows_that_are_no_blocks_become_f16(run, tmp_path):
    tiny_model.write(str(tmp_path / "m.gguf"), "F32", n_embd=48)
    _, tensors = convert(run, tmp_path / "m.gguf", tmp_path / "out.gguf", "--type", "q8_0")
    assert tensors["blk.0.attn_q.weight"][0] == 1 and tensors["blk.0.ffn_down.weight"][0] == 8


def logits(run, path, tmp_path, *args):
    r = run("run", "-m", path, "--raw", "-p", "the hello in you", "-n", "4", "--temp", "0", "--dump-logits", tmp_path / "logits", *args)
    assert r.returncode == 0, r.stderr.decode()
    return (tmp_path / "logits").read_text()


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0"])
def test_load_as_is_the_converted_file(run, source, tmp_path, kind):
    """Bit for bit, kept between runs or not; and without it the weights are others."""
    convert(run, source / "F32.gguf", tmp_path / "out.gguf", "--type", kind)
    cache = ["--cache-dir", tmp_path / "cache"]
    want = logits(run, tmp_path / "out.gguf", tmp_path)
    assert logits(run, source / "F32.gguf", tmp_path, *cache) != want
    for _ in range(2):
        assert logits(run, source / "F32.gguf", tmp_path, "--load-as", kind, *cache) == want
    assert logits(run, source / "F32.gguf", tmp_path, "--load-as", kind, "--no-cache") == want
    assert logits(run, source / "F32.gguf", tmp_path, *cache) != want


def test_load_as_leaves_what_is_quantized(run, source, tmp_path):
    assert logits(run, source / "Q4_0.gguf", tmp_path, "--load-as", "q8_0") == logits(run, source / "Q4_0.gguf", tmp_path)


def test_wrong_use(run, source, tmp_path):
    gguf = source / "F32.gguf"
    refuse(run, 2, "a model and a file to write", gguf)
    refuse(run, 2, "--type", gguf, tmp_path / "x.gguf", "--type", "q4_0")
    refuse(run, 3, "none.gguf", tmp_path / "none.gguf", tmp_path / "x.gguf")
    refuse(run, 1, "No such file", gguf, tmp_path / "none" / "x.gguf")
    (tmp_path / "folder").mkdir()
    refuse(run, 1, "folder cannot be written", gguf, tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"] and not os.listdir(tmp_path / "folder")


def test_a_disk_that_is_full_keeps_what_was_there(home, source, tmp_path):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    target = tmp_path / "out.gguf"
    for before in (None, b"what was there"):
        if before:
            target.write_bytes(before)
        r = subprocess.run([PROGRAM, "convert", source / "F32.gguf", target], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           preexec_fn=small, env={"HOME": str(home), "PATH": os.environ["PATH"]})
        assert r.returncode == 1 and b"out.gguf cannot be written: File too large" in r.stderr
        assert os.listdir(tmp_path) == (["out.gguf"] if before else []) and (not before or target.read_bytes() == before)


@pytest.mark.parametrize("shards", [1, 2])
def test_experts_become_one_tensor(run, tmp_path, shards):
    """In the order of their numbers, wherever in the files they are; the router stays f32."""
    cfg = {**hf_folder.config(), "architectures": ["MixtralForCausalLM"], "num_local_experts": 12, "num_experts_per_tok": 2}
    entries = {n: e for n, e in hf_folder.tensors("BF16").items() if ".mlp." not in n}
    for layer in range(2):
        moe = f"model.layers.{layer}.block_sparse_moe."
        entries[moe + "gate.weight"] = ("BF16", [12, 64], b"\x80\x3f" * 12 * 64)
        for i in sorted(range(12), key=str):
            entries.update({f"{moe}experts.{i}.{w}.weight": ("BF16", shape, bytes([i, 0x40 + k]) * 96 * 64)
                            for k, (w, shape) in enumerate((("w1", [96, 64]), ("w2", [64, 96]), ("w3", [96, 64])))})
    folder = hf_folder.write(tmp_path / "m", entries=entries, cfg=cfg, shards=shards)
    meta, tensors = convert(run, folder, tmp_path / "out.gguf")
    assert meta["llama.expert_count"] == 12
    for layer in range(2):
        for k, (name, dims) in enumerate((("gate", [64, 96, 12]), ("down", [96, 64, 12]), ("up", [64, 96, 12]))):
            kind, got, raw = tensors[f"blk.{layer}.ffn_{name}_exps.weight"]
            assert kind == 30 and got == dims and raw == b"".join(bytes([i, 0x40 + k]) * 96 * 64 for i in range(12))
        assert tensors[f"blk.{layer}.ffn_gate_inp.weight"][0] == 0
    _, q8 = convert(run, folder, tmp_path / "q8.gguf", "--type", "q8_0")
    assert q8["blk.1.ffn_down_exps.weight"][0] == 8 and len(q8["blk.1.ffn_down_exps.weight"][2]) == 96 * 64 * 12 // 32 * 34
    runs = [run("run", "-m", m, "-p", "x", "-n", "8", "--temp", "0", "--raw", "--no-cache") for m in (folder, tmp_path / "out.gguf")]
    assert runs[0].returncode == 0 and runs[0].stdout == runs[1].stdout


@pytest.mark.parametrize("change,words", [
    (lambda e, n: e.pop(n.format(3)), "expert 3 of blk.0.ffn_gate_exps.weight is missing"),
    (lambda e, n: e.update({n.format(4): e[n.format(3)]}), "of an expert that config.json has not"),
    (lambda e, n: e.update({n.format(2): ("F32", [96, 64], bytes(96 * 64 * 4))}), "of another shape or type")])
def test_experts_that_do_not_fit(run, tmp_path, change, words):
    cfg = {**hf_folder.config(), "architectures": ["MixtralForCausalLM"], "num_local_experts": 4, "num_experts_per_tok": 2}
    entries = {n: e for n, e in hf_folder.tensors("BF16").items() if ".mlp." not in n}
    name = "model.layers.0.block_sparse_moe.experts.{}.w1.weight"
    entries.update({name.format(i): ("BF16", [96, 64], bytes(96 * 64 * 2)) for i in range(4)})
    change(entries, name)
    refuse(run, 3, words, hf_folder.write(tmp_path / "m", entries=entries, cfg=cfg), tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()
