"""Bad model and input files: exit code 3, one line that names the file."""
import json

import pytest

COMMANDS = [["info"], ["tokenize", "-p", "x"], ["run", "-p", "x"], ["bench"], ["profile"], ["selftest"], ["verify"], ["chat"]]


def check(r, *words):
    err = r.stderr.decode(errors="replace")
    assert r.returncode == 3, err
    assert r.stdout == b"" and err.startswith("lathe: ") and err.count("\n") == 1
    for w in words:
        assert w in err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_missing_and_directory(run, tmp_path, command):
    check(run(*command, "-m", tmp_path / "none.gguf"), "none.gguf", "No such file")
    check(run(*command, "-m", tmp_path), str(tmp_path), "has no config.json")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_not_a_model(run, tmp_path, command):
    for name, content in (("empty", b""), ("text", b"This is a letter to a friend, and no model at all.\n" * 9), ("magic", b"GGUF"),
                          ("zeros", bytes(4096))):
        path = tmp_path / name
        path.write_bytes(content)
        check(run(*command, "-m", path))


def test_truncated_anywhere(run, tiny, tmp_path):
    whole = tiny.read_bytes()
    path = tmp_path / "cut.gguf"
    for n in [5, 20, 24, 30, 100, 1000, 5000, len(whole) // 2, len(whole) - 4000]:
        path.write_bytes(whole[:n])
        check(run("info", "-m", path))
        check(run("run", "-p", "x", "-m", path))


def test_unreadable_text(run, tiny, tmp_path):
    check(run("perplexity", "-m", tiny, "-f", tmp_path / "none.txt"), "none.txt")
    check(run("perplexity", "-m", tiny, "-f", tmp_path), "is a directory")
    short = tmp_path / "short.txt"
    short.write_text("too short")
    check(run("perplexity", "-m", tiny, "-f", short), "short.txt", "one chunk needs 256")


def test_info_of_an_unsupported_architecture(run, tiny, tmp_path):
    path = tmp_path / "other.gguf"
    path.write_bytes(tiny.read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama\x0c", b"\x05\0\0\0\0\0\0\0mamba\x0c", 1))
    r = run("info", "-m", path)
    assert r.returncode == 0
    path.write_bytes(tiny.read_bytes().replace(b"architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama", b"architecture\x08\0\0\0\x05\0\0\0\0\0\0\0mamba"))
    assert b"general.architecture = mamba" in run("info", "-m", path).stdout
    check(run("run", "-p", "x", "-m", path), "mamba")


def test_info_lists_types(run, tiny):
    import json
    d = json.loads(run("info", "-m", tiny, "--json").stdout)
    assert d["meta"]["general.architecture"] == "llama" and d["meta"]["llama.block_count"] == "2"
    assert {t["type"]: t["tensors"] for t in d["types"]} == {"Q8_0": 15, "F32": 5}
    assert len(d["tensors"]) == 20 and all(t["runnable"] for t in d["tensors"])
    assert d["tensors"][0] == {"name": "token_embd.weight", "type": "Q8_0", "shape": [64, 288], "bytes": 64 * 288 // 32 * 34, "runnable": True}
    text = run("info", "-m", tiny, "--tensors").stdout.decode()
    assert "blk.1.ffn_down.weight  Q8_0  [96, 64]" in text


def test_cache_that_cannot_be_written_is_no_failure(run, tiny):
    r = run("run", "-m", tiny, "-p", "x", "-n", "2", "--raw", "--cache-dir", "/proc/nowhere")
    assert r.returncode == 0, r.stderr


def test_index_of_the_vocabulary_is_kept_and_repaired(run, tiny, tmp_path):
    """What is in the cache, whole or damaged, never changes what is answered."""
    def answer(*args):
        r = run("run", "-m", tiny, "-p", "hello you", "-n", "8", "--raw", "--temp", "0", *args)
        assert r.returncode == 0, r.stderr
        return r.stdout
    cached = ["--cache-dir", tmp_path]
    want = answer("--no-cache", *cached)
    assert not list(tmp_path.iterdir())
    assert answer(*cached) == want
    index, = (tmp_path / "layouts").glob("*.idx")
    whole, made = index.read_bytes(), index.stat().st_ino
    assert answer(*cached) == want and index.stat().st_ino == made  # read, not made again
    for damage in whole[:100], whole[:-64], b"", whole[:4096] + bytes(len(whole) - 4096), whole[:5000] + b"\xff" + whole[5001:]:
        index.write_bytes(damage)
        assert answer(*cached) == want and index.read_bytes() == whole
    index.unlink()
    (tmp_path / "layouts" / (index.name + ".part")).mkdir()  # cannot be written
    assert answer(*cached) == want and not index.exists()


def test_verify_names_a_damaged_copy(run, tiny, tmp_path):
    args = ["verify", "-m", tiny, "--cache-dir", tmp_path]
    r = run(*args)
    layout, = (tmp_path / "layouts").glob("*.lay")
    assert r.returncode == 0 and r.stdout.decode().startswith(str(layout)) and b"intact" in r.stdout
    d = json.loads(run(*args, "--json").stdout)
    assert d == {"path": str(layout), "bytes": layout.stat().st_size - 4096, "kept": True}
    whole = layout.read_bytes()
    with open(layout, "r+b") as f:  # one bit of the last panel
        f.seek(-1, 2)
        f.write(bytes([whole[-1] ^ 1]))
    r = run(*args)
    assert r.returncode == 3 and r.stdout == b"" and f"{layout} is damaged: delete it".encode() in r.stderr
    layout.unlink()
    assert run(*args).returncode == 0 and layout.read_bytes() == whole
    r = run(*args, "--no-cache")
    assert r.returncode == 0 and b"no laid-out weights are kept" in r.stdout
