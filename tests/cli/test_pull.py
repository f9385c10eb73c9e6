"""lathe pull, list, rm, verify against a hub that drops connections, lies about lengths and digests, and sends elsewhere."""
import hashlib, json, os, subprocess, threading, time
from pathlib import Path

import pytest

import hf_folder
import hub_server
from conftest import PROGRAM
from hub_server import drop, fine, status

RAW = bytes(range(256)) * 4096 + b"end"  # 1 MiB and a bit
SHA = hashlib.sha256(RAW).hexdigest()


@pytest.fixture
def hub():
    h = hub_server.Hub()
    h.files["org/repo", "model-Q8_0.gguf"] = RAW
    yield h
    h.close()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def lathe(run, hub, store):
    if run("pull", "hf:a/b", env={"HF_ENDPOINT": hub.url, "LATHE_STORE": str(store)}).stderr.startswith(b"lathe: this build cannot"):
        pytest.skip("curl: this build cannot get models")
    hub.requests.clear()

    def go(*args, **env):
        return run(*args, env={"HF_ENDPOINT": hub.url, "LATHE_STORE": str(store), **env})
    return go


def good(r):
    assert r.returncode == 0, r.stderr.decode()
    return r


def bad(r, code, *words):
    err = r.stderr.decode()
    assert r.returncode == code and r.stdout == b"", (r.returncode, err)
    for w in words:
        assert w in err, err
    assert "secret" not in err
    return err


def files(store):
    return sorted(str(p.relative_to(store)) for p in store.rglob("*") if p.is_file() and p.name != ".lock") if store.exists() else []


def content(store):
    return (store / "hf/org/repo/model-Q8_0.gguf").read_bytes()


SPEC = "hf:org/repo:model-Q8_0.gguf"


def test_pull_list_verify_rm(lathe, hub, store):
    r = good(lathe("pull", SPEC))
    assert r.stdout.decode().splitlines() == [SPEC, f"{store}/hf/org/repo/model-Q8_0.gguf"]
    assert content(store) == RAW and not any(".part" in f for f in files(store))
    d = json.loads(good(lathe("list", "--json")).stdout)
    assert d["store"] == str(store)
    m, = d["models"]
    assert m["name"] == SPEC and m["bytes"] == len(RAW)
    assert m["files"] == [{"path": f"{store}/hf/org/repo/model-Q8_0.gguf", "bytes": len(RAW), "digest": "sha256:" + SHA}]
    assert SPEC in good(lathe("list")).stdout.decode()
    assert b"intact" in good(lathe("verify", "model-Q8_0")).stdout
    with open(store / "hf/org/repo/model-Q8_0.gguf", "r+b") as f:
        f.seek(1000)
        f.write(b"x")
    bad(lathe("verify", SPEC), 3, "is damaged", SHA)
    good(lathe("pull", SPEC))  # gets it again
    assert content(store) == RAW
    good(lathe("rm", "repo"))
    assert files(store) == [] and os.listdir(store) == ["models"]
    assert "no models" in good(lathe("list")).stdout.decode()


def test_second_pull_gets_nothing(lathe, hub, store):
    good(lathe("pull", SPEC))
    hub.requests.clear()
    good(lathe("pull", "hf:org/repo"))
    assert [r[1] for r in hub.requests] == ["/api/models/org/repo/tree/main?recursive=true"]


# ---- names

@pytest.mark.parametrize("spec", ["hf:org/repo", "hf:org/repo:q8_0", "hf:org/repo@main:model-Q8_0.gguf"])
def test_names_to_pull(lathe, store, spec):
    assert good(lathe("pull", spec)).stdout.decode().splitlines()[0] == SPEC


def test_several_files(lathe, hub, store):
    hub.files["org/repo", "model-Q4_0.gguf"] = b"GGUF other"
    bad(lathe("pull", "hf:org/repo"), 2, "has several files", "model-Q4_0.gguf, model-Q8_0.gguf")
    bad(lathe("pull", "hf:org/repo:model"), 2, "with that in their names")
    bad(lathe("pull", "hf:org/repo:none"), 2, "no GGUF file of that name")
    good(lathe("pull", "hf:org/repo:Q4_0"))
    good(lathe("pull", "hf:org/repo:Q8_0"))
    bad(lathe("rm", "repo"), 2, "may be")
    bad(lathe("rm", "nothing"), 3, "nothing is not in the store")
    good(lathe("rm", "hf:org/repo:Q4_0"))
    assert content(store) == RAW and len(json.loads(good(lathe("list", "--json")).stdout)["models"]) == 1


def test_revision_has_a_place_of_its_own(lathe, store):
    good(lathe("pull", "hf:org/repo@v1.0:Q8_0"))
    assert (store / "hf/org/repo@v1.0/model-Q8_0.gguf").exists()


@pytest.mark.parametrize("spec", ["hf:org", "hf:org/", "hf:../repo", "hf:org/repo:../x", "hf:org/repo:", "hf:o rg/repo", "hf:org/repo:a//b", "org/repo",
                                  "file:///etc/passwd", "http://host/", "http://host", "https://user:pw@host/m.gguf", "hf:org/repo:a\nb", ""])
def test_what_is_no_name(lathe, spec):
    bad(lathe("pull", spec), 2)


def test_wrong_use(lathe, tmp_path):
    bad(lathe("pull"), 2, "needs to know what to get")
    bad(lathe("rm"), 2)
    bad(lathe("pull", SPEC, HF_ENDPOINT="ftp://x"), 2, "HF_ENDPOINT")
    bad(lathe("pull", SPEC, "--sha256", "12"), 2, "--sha256 '12'")
    bad(lathe("pull", SPEC, "--sha256", "0" * 64), 3, "--sha256 says sha256:0000")
    bad(lathe("pull", SPEC, HF_TOKEN="a\r\nX-Evil: 1"), 2, "token")
    bad(lathe("pull", SPEC, LATHE_STORE="/proc/none"), 1, "cannot be made")


# ---- models in the store are models for every command

def test_model_of_the_store_runs(lathe, hub, tiny):
    hub.files["org/tiny", "tiny-q8.gguf"] = tiny.read_bytes()
    good(lathe("pull", "hf:org/tiny"))
    want = good(lathe("run", "-m", tiny, "-p", "the", "--raw", "-n", "5", "--temp", "0")).stdout
    for name in ("hf:org/tiny:tiny-q8.gguf", "hf:org/tiny", "hf:org/tiny:q8", "tiny", "org/tiny", "tiny-q8", "tiny-q8.gguf"):
        assert good(lathe("run", "-m", name, "-p", "the", "--raw", "-n", "5", "--temp", "0")).stdout == want, name
    assert b"llama" in good(lathe("info", "-m", "tiny")).stdout
    bad(lathe("run", "-m", "hf:org/other", "-p", "x"), 3, "lathe pull hf:org/other")
    bad(lathe("run", "-m", "iny", "-p", "x"), 3, "No such file")


def test_folder_of_safetensors(lathe, hub, store, tmp_path):
    folder = hf_folder.write(tmp_path / "m", "BF16", shards=2)
    for p in folder.iterdir():
        hub.files["org/st", p.name] = p.read_bytes()
        if p.suffix == ".json":
            hub.small.add(p.name)
    for extra in ("README.md", ".gitattributes", "pytorch_model.bin", "consolidated.safetensors", "onnx/model.onnx"):
        hub.files["org/st", extra] = b"not needed"
    hub.page = 3
    r = good(lathe("pull", "hf:org/st"))
    assert r.stdout.decode().splitlines() == ["hf:org/st", f"{store}/hf/org/st"]
    assert sorted(os.listdir(store / "hf/org/st")) == sorted([".lock"] + [p.name for p in folder.iterdir()])
    assert json.loads(good(lathe("info", "--json", "-m", "st")).stdout)["tensors"] == json.loads(good(lathe("info", "--json", "-m", folder)).stdout)["tensors"]
    assert b"intact" in good(lathe("verify", "hf:org/st")).stdout
    (store / "hf/org/st/config.json").write_text("{}")
    bad(lathe("verify", "st"), 3, "config.json is damaged", "git:")
    good(lathe("rm", "st"))
    assert files(store) == []


def test_all_parts_of_a_split_file(lathe, hub, store):
    for i in range(3):
        hub.files["org/split", f"x-Q4-{i + 1:05d}-of-00003.gguf"] = b"part %d" % i
        hub.files["org/split", f"y-Q5-{i + 1:05d}-of-00003.gguf"] = b"other"
    r = good(lathe("pull", "hf:org/split:Q4"))
    assert r.stdout.decode().splitlines()[0] == "hf:org/split:x-Q4-00001-of-00003.gguf"
    assert [f for f in files(store) if "hf/" in f] == [f"hf/org/split/x-Q4-0000{i}-of-00003.gguf" for i in (1, 2, 3)]


# ---- connections that break

def test_goes_on_where_it_broke(lathe, hub, store):
    hub.faults = [fine, drop(RAW, 300000, ETag='"one"'), fine, drop(RAW[300000:], 200000, 206, ETag='"one"', Content_Range=f"bytes 300000-{len(RAW) - 1}/{len(RAW)}")]
    r = good(lathe("pull", SPEC))
    assert content(store) == RAW and b"trying again" in r.stderr
    ranges = [h.get("Range") for s, p, h in hub.requests if s == "store"]
    assert ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert [h.get("If-Range") for s, p, h in hub.requests if s == "store"] == [None, '"one"', '"one"']


def test_next_pull_goes_on(lathe, hub, store):
    hub.faults = [fine, drop(RAW, 300000, ETag='"one"')]
    bad(lathe("pull", SPEC, "--retries", "0"), 1, "model-Q8_0.gguf")
    assert "hf/org/repo/model-Q8_0.gguf.part" in files(store) and not (store / "models").exists()
    assert "no models" in good(lathe("list")).stdout.decode()
    bad(lathe("run", "-m", SPEC, "-p", "x"), 3, "is not in the store")
    hub.requests.clear()
    good(lathe("pull", SPEC))
    assert content(store) == RAW and [h.get("Range") for s, p, h in hub.requests if s == "store"] == ["bytes=300000-"]


def test_another_file_since_starts_anew(lathe, hub, store):
    hub.faults = [fine, drop(b"x" * len(RAW), 300000, ETag='"old"')]
    good(lathe("pull", SPEC))
    assert content(store) == RAW
    assert [h.get("If-Range") for s, p, h in hub.requests if s == "store"] == [None, '"old"']


def test_server_without_ranges(lathe, hub, store):
    hub.ranges = False
    hub.faults = [fine, drop(RAW, 300000, ETag='"one"')]
    good(lathe("pull", SPEC))
    assert content(store) == RAW


def test_wrong_range_is_no_continuation(lathe, hub, store):
    hub.faults = [fine, drop(RAW, 300000, ETag='"one"'), fine,
                  lambda h, s, p: hub.send(h, 206, RAW[100:], ETag='"one"', Content_Range=f"bytes 100-{len(RAW) - 1}/{len(RAW)}") or True]
    good(lathe("pull", SPEC))
    assert content(store) == RAW


def test_part_longer_than_the_file(lathe, hub, store):
    part = store / "hf/org/repo/model-Q8_0.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (len(RAW) + 10))
    good(lathe("pull", SPEC))
    assert content(store) == RAW


def test_whole_part_of_other_bytes_is_deleted(lathe, hub, store):
    part = store / "hf/org/repo/model-Q8_0.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * len(RAW))
    bad(lathe("pull", SPEC), 3, "its digest is")
    assert not part.exists()
    good(lathe("pull", SPEC))


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(lathe, hub, store, code):
    hub.faults = [status(code)]
    r = good(lathe("pull", SPEC))
    assert content(store) == RAW and f"answers {code}".encode() in r.stderr


def test_retry_after_is_heeded(lathe, hub):
    hub.faults = [status(429, Retry_After="2")]
    start = time.monotonic()
    good(lathe("pull", SPEC))
    assert time.monotonic() - start >= 2


@pytest.mark.parametrize("code,words", [(401, "needs a token"), (403, "needs a token"), (404, "is the name right?"), (410, "410")])
def test_what_will_not_pass_is_not(lathe, hub, store, code, words):
    hub.faults = [status(code)]
    bad(lathe("pull", SPEC), 1, f"answers {code}", words)
    assert len(hub.requests) == 2


def test_it_gives_up(lathe, hub):
    hub.faults = [status(500)] * 9
    bad(lathe("pull", SPEC, "--retries", "2"), 1, "answers 500")
    assert len(hub.faults) == 6


def test_no_server(lathe):
    bad(lathe("pull", SPEC, "--retries", "0", HF_ENDPOINT="http://127.0.0.1:1"), 1, "127.0.0.1:1")


# ---- lies

def test_wrong_digest(lathe, hub, store):
    hub.lie["model-Q8_0.gguf"] = lambda e: {**e, "lfs": {**e["lfs"], "oid": "ab" * 32}}
    bad(lathe("pull", SPEC), 3, f"its digest is sha256:{SHA}, but should be sha256:{'ab' * 32}")
    assert files(store) == []


def test_fewer_bytes_than_listed(lathe, hub, store):
    hub.lie["model-Q8_0.gguf"] = lambda e: {**e, "lfs": {**e["lfs"], "size": len(RAW) + 5}}
    bad(lathe("pull", SPEC, "--retries", "1"), 1, "model-Q8_0.gguf")
    assert not any(f.endswith(".gguf") for f in files(store))


def test_more_bytes_than_listed(lathe, hub, store):
    hub.lie["model-Q8_0.gguf"] = lambda e: {**e, "lfs": {**e["lfs"], "size": len(RAW) - 5}}
    bad(lathe("pull", SPEC), 1, "sends more than the")
    assert not any(f.endswith(".gguf") for f in files(store))


def test_length_that_is_longer_than_what_comes(lathe, hub, store):
    hub.faults = [fine, drop(RAW + b"x" * 100, len(RAW))]
    good(lathe("pull", SPEC))
    assert content(store) == RAW


@pytest.mark.parametrize("change", [lambda e: {**e, "path": "../../evil.gguf"}, lambda e: {**e, "path": "/evil.gguf"}, lambda e: {**e, "path": "a/./b.gguf"},
                                    lambda e: {**e, "lfs": {**e["lfs"], "oid": "zz"}}, lambda e: {**e, "lfs": {**e["lfs"], "size": -1}},
                                    lambda e: {**e, "path": 7}], ids=range(6))
def test_list_that_lies(lathe, hub, store, change):
    hub.lie["model-Q8_0.gguf"] = change
    bad(lathe("pull", "hf:org/repo"), 1, "which cannot be")
    assert files(store) == []


def test_endless_redirects(lathe, hub):
    hub.faults = [lambda h, s, p: hub.send(h, 302, b"", Location=h.path) or True] * 50
    bad(lathe("pull", SPEC), 1, "redirects")
    assert len(hub.faults) == 39


def test_redirect_to_a_file_is_none(lathe, hub, store):
    hub.faults = [lambda h, s, p: hub.send(h, 302, b"", Location="file:///etc/passwd") or True]
    bad(lathe("pull", SPEC, "--retries", "0"), 1)
    assert not any(f.endswith(".gguf") for f in files(store))


# ---- the token

def test_token_goes_to_the_hub_and_nowhere_else(lathe, hub, store, home):
    hub.token = "secret-token"
    bad(lathe("pull", SPEC), 1, "answers 401", "HF_TOKEN")
    hub.gated = 403
    bad(lathe("pull", SPEC, HF_TOKEN="secret-other"), 1, "answers 403", "accept the model's terms")
    good(lathe("pull", SPEC, HF_TOKEN="secret-token"))
    sent = [(s, h.get("Authorization")) for s, p, h in hub.requests[2:]]
    assert sent == [("hub", "Bearer secret-token"), ("hub", "Bearer secret-token"), ("store", None)]
    token = home / "token"
    token.write_text("secret-token\n")
    good(lathe("rm", SPEC))
    good(lathe("pull", SPEC, HF_TOKEN_PATH=str(token)))
    kept = home / ".cache/huggingface/token"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("secret-token")
    try:
        good(lathe("pull", SPEC))
    finally:
        kept.unlink()


# ---- other URLs

def test_url(lathe, hub, store):
    url = f"{hub.store}/org/repo/model-Q8_0.gguf"
    r = good(lathe("pull", url + "?download=true", "--sha256", SHA.upper()))
    name, path = r.stdout.decode().splitlines()
    assert name == url and Path(path).read_bytes() == RAW
    assert good(lathe("verify", "model-Q8_0")).returncode == 0
    bad(lathe("pull", url, "--sha256", "1" * 64), 3, "its digest is")
    hub.faults = [drop(RAW, 300000, ETag='"one"')]
    good(lathe("rm", url))
    good(lathe("pull", url))
    assert json.loads(good(lathe("list", "--json")).stdout)["models"][0]["files"][0]["digest"] == "sha256:" + SHA


def test_url_without_a_tag_does_not_go_on(lathe, hub, store):
    """Nothing says that the rest is of the same file."""
    hub.etag = 'W/"weak"'
    hub.faults = [drop(RAW, 300000)]
    bad(lathe("pull", f"{hub.store}/org/repo/model-Q8_0.gguf", "--retries", "0"), 1)
    hub.requests.clear()
    good(lathe("pull", f"{hub.store}/org/repo/model-Q8_0.gguf"))
    assert [h.get("Range") for s, p, h in hub.requests] == [None]


# ---- the disk, and others

def test_full_disk_keeps_what_came(lathe, hub, store, home):
    def small():
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500000, 500000))
    env = {"HF_ENDPOINT": hub.url, "LATHE_STORE": str(store), "HOME": str(home)}
    r = subprocess.run([PROGRAM, "pull", SPEC], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=small, env=env)
    bad(r, 1, "cannot be written: File too large")
    assert not any(f.endswith(".gguf") for f in files(store))
    good(lathe("pull", SPEC))
    assert content(store) == RAW


def start_pull(hub, store, home, spec):
    env = {"HF_ENDPOINT": hub.url, "LATHE_STORE": str(store), "HOME": str(home)}
    return subprocess.Popen([PROGRAM, "pull", spec], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)


def start_held(hub, store, home, spec):
    """A pull whose file comes when the gate that is returned with it is opened."""
    gate, reached = threading.Event(), threading.Event()

    def slow(h, server, path):
        reached.set()
        gate.wait(20)
        return False
    hub.faults = [fine, slow]
    process = start_pull(hub, store, home, spec)
    assert reached.wait(20)
    return process, gate


def test_two_pulls_at_once(lathe, hub, store, home):
    first, gate = start_held(hub, store, home, SPEC)
    second = start_pull(hub, store, home, SPEC)
    assert b"waiting" in second.stderr.readline()
    gate.set()
    for p in (first, second):
        out, err = p.communicate(timeout=20)
        assert p.returncode == 0 and SPEC.encode() in out, err
    assert content(store) == RAW and sum(s == "store" for s, p, h in hub.requests) == 1


def test_rm_waits_for_nobody(lathe, hub, store, home):
    good(lathe("pull", SPEC))
    hub.files["org/repo", "other-Q4_0.gguf"] = RAW
    first, gate = start_held(hub, store, home, "hf:org/repo:Q4_0")
    bad(lathe("rm", SPEC), 1, "is being got by another")
    gate.set()
    assert first.wait(20) == 0 and content(store) == RAW


def test_damaged_records_are_passed_over(lathe, store):
    good(lathe("pull", SPEC))
    (store / "models/zero.json").write_text("")
    (store / "models/evil.json").write_text(json.dumps({"name": "evil", "path": "../../x", "time": 0, "files": [{"path": "/etc/passwd", "size": 1, "digest": "0" * 64}]}))
    assert [m["name"] for m in json.loads(good(lathe("list", "--json")).stdout)["models"]] == [SPEC]
