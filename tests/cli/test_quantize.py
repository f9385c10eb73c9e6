"""lathe quantize: types and mixes, the account, the same bytes everywhere, and what it refuses."""
import json, os, resource, signal, struct, subprocess

import pytest

import gguf_file
import hf_folder
import tiny_model
from conftest import PROGRAM

NAMES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
         20: "IQ4_NL", 23: "IQ4_XS", 30: "BF16", 39: "MXFP4"}
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "q4_k_s": 14,
              "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "q2_k_s": 21, "iq4_nl": 25, "iq4_xs": 30, "bf16": 32, "mxfp4": 38}


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """256 columns, so that super-blocks fit; 16 layers that are alike."""
    path = tmp_path_factory.mktemp("wide") / "m.gguf"
    tiny_model.write(str(path), "F32", n_embd=256, n_layer=16, alike=1)
    return path


def quantize(run, source, target, kind, *args, env=None):
    r = run("quantize", source, target, "--type", kind, "--json", *args, env=env)
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout), *gguf_file.read(target)


def refuse(run, code, words, *args):
    r = run("quantize", *args)
    err = r.stderr.decode(errors="replace")
    assert r.returncode == code and words in err and err.count("\n") == 1, (r.returncode, err)


def types(tensors, part):
    return [NAMES[t[0]] for n, t in sorted(tensors.items(), key=lambda x: int(x[0].split(".")[1]) if x[0].startswith("blk.") else -1) if part in n]


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_every_type(run, wide, tmp_path, kind):
    """The account is that of the file, the model runs, and fewer bits cost more."""
    report, meta, tensors = quantize(run, wide, tmp_path / "out.gguf", kind)
    assert meta["general.file_type"] == FILE_TYPES[kind]
    want = {}
    for t in tensors.values():
        one = want.setdefault(NAMES[t[0]], {"tensors": 0, "bytes": 0})
        one["tensors"] += 1
        one["bytes"] += len(t[2])
    assert report["types"] == want and report["tensors"] == len(tensors)
    assert report["bytes_after"] == os.path.getsize(tmp_path / "out.gguf") and report["bytes_before"] == os.path.getsize(wide)
    bits = 8 * sum(len(t[2]) for t in tensors.values()) / report["weights"]
    assert abs(report["bits_per_weight"] - bits) < 1e-6
    if kind == "f32":
        assert report["relative_error"] == 0 and report["worst_tensor"] == ""
    elif kind in ("f16", "bf16"):
        assert 0 < report["relative_error"] < 2.0 ** -8
    else:  # a bit less costs about twice as much
        assert 0.2 < report["relative_error"] * 2 ** bits < 8 and report["worst_error"] >= report["relative_error"]
        assert report["worst_tensor"] in tensors
    assert NAMES[tensors["blk.0.attn_norm.weight"][0]] == "F32"
    r = run("run", "-m", tmp_path / "out.gguf", "--raw", "-p", "the hello in you", "-n", "4", "--temp", "0", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()


def test_mixes(run, wide, tmp_path):
    """More bits where the mix says; 16 layers, so that an eighth is 2."""
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "Q4_K_M")
    spread = ["Q6_K" if i < 2 or i >= 14 or (i - 2) % 3 == 2 else "Q4_K" for i in range(16)]
    assert types(t, "attn_v.weight") == spread and types(t, "attn_q.weight") == ["Q4_K"] * 16 and types(t, "token_embd") == ["Q6_K"]
    assert types(t, "output_norm") == ["F32"]
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "q4_k")  # the same by its short name
    assert types(t, "attn_v.weight") == spread
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "q4_k_s")
    assert types(t, "attn_v.weight") == ["Q5_K"] * 4 + ["Q4_K"] * 12
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "q3_k_m")
    assert types(t, "attn_v.weight") == ["Q5_K"] * 2 + ["Q4_K"] * 14 and types(t, "attn_output") == ["Q4_K"] * 16
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "q2_k")
    assert types(t, "attn_q.weight") == ["Q2_K"] * 16 and types(t, "attn_output") == ["Q3_K"] * 16


def test_own_types(run, wide, tmp_path):
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "q4_k_m", "--pure")
    assert {NAMES[x[0]] for x in t.values() if len(x[1]) > 1} <= {"Q4_K", "Q5_0"}  # columns that are no multiple of 256
    _, _, t = quantize(run, wide, tmp_path / "out.gguf", "q4_k_m", "--tensor-type", "blk.3.=q8_0", "--tensor-type", "token_embd=bf16", "--tensor-type",
                       "blk.=iq4_xs")
    assert set(types(t, "blk.3.attn_q.weight")) == {"Q8_0"} and types(t, "token_embd") == ["BF16"] and types(t, "blk.4.attn_q.weight") == ["IQ4_XS"]
    refuse(run, 2, "'attn_q=q9' is no NAME=TYPE with a type of: f32 f16 q4_0", wide, tmp_path / "x.gguf", "--type", "q4_0", "--tensor-type", "attn_q=q9")


def test_rows_that_a_type_cannot_hold(run, tmp_path):
    """64 columns: no super-block. Said and counted, and the type instead is that of llama.cpp."""
    tiny_model.write(str(tmp_path / "m.gguf"), "F32")
    report, _, t = quantize(run, tmp_path / "m.gguf", tmp_path / "out.gguf", "q4_k_m")
    assert set(types(t, "attn_q.weight")) == {"Q5_0"} and types(t, "token_embd") == ["Q8_0"]
    assert report["fallbacks"] == sum(len(x[1]) > 1 for x in t.values())
    r = run("quantize", tmp_path / "m.gguf", tmp_path / "out.gguf", "--type", "q3_k_s")
    assert b"tensors have rows that their type cannot hold and got another (token_embd.weight: Q8_0 instead of Q6_K)" in r.stdout
    tiny_model.write(str(tmp_path / "m.gguf"), "F32", n_embd=48)
    _, _, t = quantize(run, tmp_path / "m.gguf", tmp_path / "out.gguf", "q4_0", "--pure")
    assert set(types(t, "attn_q.weight")) == {"F16"}


def test_the_same_bytes_for_every_number_of_threads_and_isa(run, wide, tmp_path):
    for kind in ("q4_k_m", "iq4_xs", "q5_1", "q2_k"):
        quantize(run, wide, tmp_path / "a.gguf", kind)
        want = (tmp_path / "a.gguf").read_bytes()
        reports = set()
        for args, env in ((["-t", "1"], {}), (["-t", "3"], {}), ([], {"LATHE_CPU": "c"}), ([], {"LATHE_CPU": "avx2"})):
            r = run("quantize", wide, tmp_path / "b.gguf", "--type", kind, "--json", *args, env=env)
            if r.returncode and b"LATHE_CPU" in r.stderr:
                continue  # an instruction set of another family
            assert (tmp_path / "b.gguf").read_bytes() == want
            reports.add(r.stdout)
        assert len(reports) == 1


def test_folder_and_file_give_the_same(run, tmp_path):
    """And a file of 16 bits the same as its own numbers in 32."""
    for kind in ("F16", "BF16"):
        folder = hf_folder.write(tmp_path / kind, kind, shards=2)
        subprocess.run([PROGRAM, "convert", folder, tmp_path / f"{kind}.gguf"], check=True)
        subprocess.run([PROGRAM, "convert", "--type", "f32", folder, tmp_path / f"{kind}-32.gguf"], check=True)
        _, _, want = quantize(run, folder, tmp_path / "out.gguf", "q4_0")
        for source in (f"{kind}.gguf", f"{kind}-32.gguf"):
            assert quantize(run, tmp_path / source, tmp_path / "out.gguf", "q4_0")[2] == want


def test_what_is_quantized_already(run, tmp_path):
    tiny_model.write(str(tmp_path / "m.gguf"), "Q8_0")
    r = run("quantize", tmp_path / "m.gguf", tmp_path / "out.gguf", "--type", "q4_0")
    assert r.returncode == 0 and b"note: the model is quantized already (Q8_0)" in r.stderr
    _, got = gguf_file.read(tmp_path / "out.gguf")
    assert set(types(got, "attn_q.weight")) == {"Q4_0"}
    tiny_model.write(str(tmp_path / "f.gguf"), "F16")
    assert run("quantize", tmp_path / "f.gguf", tmp_path / "out.gguf", "--type", "q4_0").stderr == b""


def test_weights_that_are_no_numbers(run, tmp_path):
    for kind, bad in (("F32", struct.pack("<f", float("nan"))), ("F16", struct.pack("<e", float("inf")))):
        folder = hf_folder.write(tmp_path / kind, kind)
        entries = hf_folder.tensors(kind)
        name = "model.layers.1.mlp.down_proj.weight"
        dtype, shape, raw = entries[name]
        at = (3 * shape[1] + 5) * len(bad)
        entries[name] = (dtype, shape, raw[:at] + bad + raw[at + len(bad):])
        hf_folder.write(folder, entries=entries)
        refuse(run, 1, "tensor blk.1.ffn_down.weight has a weight that is no finite number, in row 3, column 5", folder, tmp_path / "out.gguf", "--type", "q4_0")
        assert not (tmp_path / "out.gguf").exists()


def test_wrong_use(run, wide, tmp_path):
    refuse(run, 2, "a model, a file to write and a type", wide)
    refuse(run, 2, "a model, a file to write and a type", wide, tmp_path / "x.gguf")
    refuse(run, 2, "type 'q9' is unknown; use one of: f32, f16, bf16, q4_0", wide, tmp_path / "x.gguf", "--type", "q9")
    refuse(run, 2, "type 'iq2_xxs' is read, but cannot be written; use one of: f32", wide, tmp_path / "x.gguf", "--type", "iq2_xxs")
    refuse(run, 3, "none.gguf", tmp_path / "none.gguf", tmp_path / "x.gguf", "--type", "q4_0")
    refuse(run, 1, "No such file", wide, tmp_path / "none" / "x.gguf", "--type", "q4_0")
    before = wide.read_bytes()
    (tmp_path / "link.gguf").symlink_to(wide)
    for same in (wide, tmp_path / "link.gguf"):
        refuse(run, 2, "is the model itself, which would be lost", wide, same, "--type", "q4_0")
    assert wide.read_bytes() == before and os.listdir(tmp_path) == ["link.gguf"]


def test_a_disk_that_is_full_keeps_what_was_there(home, wide, tmp_path):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    target = tmp_path / "out.gguf"
    target.write_bytes(b"what was there")
    r = subprocess.run([PROGRAM, "quantize", wide, target, "--type", "q4_0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=small,
                       env={"HOME": str(home), "PATH": os.environ["PATH"]})
    assert r.returncode == 1 and b"out.gguf cannot be written: File too large" in r.stderr
    assert os.listdir(tmp_path) == ["out.gguf"] and target.read_bytes() == b"what was there"
