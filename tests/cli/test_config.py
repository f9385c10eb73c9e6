"""lathe config and lathe key: where values come from, mistakes with line and remedy, fresh keys."""
import hashlib, json, re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def write(tmp_path):
    def go(text, name="lathe.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name
    return go


def test_check_accepts_the_example(run):
    r = run("config", "check", ROOT / "examples/lathe.yaml")
    assert r.returncode == 0 and b"all good" in r.stdout, r.stderr


def test_the_example_has_every_key(run):
    """Given or in a comment: who reads it has seen what there is."""
    shown = json.loads(run("config", "show", "--effective", "--json").stdout)
    named = set(re.findall(r"^(?:# )?([a-z-]+):", (ROOT / "examples/lathe.yaml").read_text(), re.M))
    assert set(shown) <= named


def test_mistakes_of_a_file(run, write):
    path = write("prot: 1\nparallel: -1\nport: 1\nport: 2\n")
    r = run("config", "check", path)
    assert r.returncode == 2 and r.stdout == b""
    text = r.stderr.decode()
    assert f"{path}:1: 'prot' is no key: did you mean port?" in text
    assert f"{path}:2: parallel '-1' is not a number from 0 to 65536" in text and f"{path}:4: port was already given in line 3" in text
    r = run("serve", "--config", path)
    assert r.returncode == 2 and f"{path}:1:" in r.stderr.decode()


@pytest.mark.parametrize("text,words", [("host: 0.0.0.0", b"can be reached by others"), ("admin-listen: 9090", b"is no address"),
                                        ("tls-cert: c.pem", b"without --tls-key"), ("keys: /nowhere/keys", b"/nowhere/keys cannot be read"),
                                        ("cors-origin: [example.org]", b"is no origin")])
def test_check_looks_at_what_the_file_names(run, write, text, words):
    r = run("config", "check", write(text + "\n"))
    assert r.returncode in (2, 3) and words in r.stderr and r.stdout == b""


def test_every_value_has_its_origin(run, write):
    path = write("port: 1234\nparallel: 7\nlog: json\n")
    env = {"LATHE_PARALLEL": "8", "LATHE_LOG": "text", "LATHE_ALLOWED_HOST": "a,b"}
    r = run("config", "show", path, "--log", "json", "--json", env=env)
    got = {k: (v["value"], v["origin"], v["change"]) for k, v in json.loads(r.stdout).items()}
    assert got == {"port": (1234, f"{path}:1", "restart"), "parallel": (8, "LATHE_PARALLEL", "restart"),
                   "log": ("json", "command line", "live"), "allowed-host": (["a", "b"], "LATHE_ALLOWED_HOST", "live")}
    every = json.loads(run("config", "show", "--effective", "--json").stdout)
    assert every["port"] == {"value": 8080, "origin": "default", "change": "restart", "environment": "LATHE_PORT"}
    assert run("config", "show").stdout == b""
    text = run("config", "show", "--effective", "--config", path).stdout.decode()
    assert f"port: 1234  # {path}:1 (restart)\n" in text and "# keys: not set (live)\n" in text


def test_what_show_prints_is_a_configuration(run, write):
    text = run("config", "show", "--effective", "--allowed-host", 'x "y"', "--model", "a\nb").stdout.decode()
    again = write(text)
    shown = json.loads(run("config", "show", again, "--json").stdout)
    assert shown["allowed-host"]["value"] == ['x "y"'] and shown["model"]["value"] == "a\nb"


def test_every_option_of_serve_has_an_environment_name(run):
    shown = json.loads(run("config", "show", "--effective", "--json").stdout)
    assert len(shown) > 30
    for name, v in shown.items():
        assert v["environment"] == "LATHE_" + name.upper().replace("-", "_"), name


def test_secrets_are_not_configuration(run, write):
    assert run("serve", "--api-key", "x").returncode == 2
    r = run("config", "check", write("api-key: x\n"))
    assert r.returncode == 2 and b"'api-key' is no key" in r.stderr
    assert b"hidden-word" not in run("config", "show", "--effective", env={"LATHE_API_KEY": "hidden-word"}).stdout


def test_other_verbs_and_files(run, tmp_path):
    assert b"neither check nor show" in run("config").stderr and b"'look'" in run("config", "look").stderr
    r = run("config", "check", tmp_path / "none.yaml")
    assert r.returncode == 3 and b"none.yaml cannot be read: No such file" in r.stderr


def test_a_fresh_key(run):
    r = run("key", "new", "alice", "--role", "infer", "--role", "admin", "--tokens", 1000)
    key, line = re.fullmatch(r"key:  (lathe-[\w-]{43})\nline: (.*)\n", r.stdout.decode()).groups()
    assert line == f"alice infer,admin sha256:{hashlib.sha256(key.encode()).hexdigest()} tokens=1000"
    assert key.encode() not in r.stderr and b"--keys" in r.stderr
    made = json.loads(run("key", "new", "alice", "--json").stdout)
    assert made["key"] != key and made["line"].startswith("alice infer sha256:")


def test_keys_that_cannot_be(run):
    for args, words in ((["new"], b"has no name"), (["new", "a b"], b"'a b' is no name"), (["old", "x"], b"'old' is not new"),
                        (["new", "x", "--role", "boss"], b"'boss' is no role"), (["new", "x", "--tokens", "-1"], b"from 0 to")):
        r = run("key", *args)
        assert r.returncode == 2 and words in r.stderr and r.stdout == b"", args


PROFILES = re.findall(r'^PROFILE\((\w+), "([a-z-]+)", "(.*)"\)', (ROOT / "src/cli/profiles.inc").read_text(), re.M)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in PROFILES}))
def test_a_profile_sets_what_nobody_gave(run, write, name):
    rows = {option: value for n, option, value in PROFILES if n == name}
    shown = json.loads(run("config", "show", "--profile", name, "--json").stdout)
    assert shown.pop("profile")["origin"] == "command line"
    assert set(shown) == set(rows) and {v["origin"] for v in shown.values()} == {f"profile {name}"}
    path = write(f"profile: {name}\nparallel: 3\n")
    shown = json.loads(run("config", "show", path, "--json", env={"LATHE_QUEUE": "77"}).stdout)
    assert (shown["parallel"]["value"], shown["queue"]["value"]) == (3, 77)
    assert (shown["parallel"]["origin"], shown["queue"]["origin"]) == (f"{path}:2", "LATHE_QUEUE")
    assert {v["origin"] for k, v in shown.items() if k not in ("parallel", "queue", "profile")} == {f"profile {name}"}
    docs = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in docs for name, _, _ in PROFILES)


def test_edge_keeps_its_budget(run, tiny):
    """Half of the cores; a bound of memory that is refused with its numbers when it is too small."""
    import os
    d = json.loads(run("bench", "-m", tiny, "-p", "8", "-n", "4", "-r", "1", "--no-limits", "--profile", "edge", "--json").stdout)
    assert d["threads"] == (len(os.sched_getaffinity(0)) + 1) // 2
    same = [run("run", "-m", tiny, "-p", "hello", "-n", "8", "--temp", "0", "--json", *more).stdout for more in ([], ["--profile", "edge", "-t", "3"])]
    assert json.loads(same[0])["tokens"] == json.loads(same[1])["tokens"]
    r = run("run", "-m", tiny, "-p", "x", "-n", "1", "--profile", "edge", "--memory", "6M")
    assert r.returncode == 1 and b"more than the 6.0 MiB of memory" in r.stderr, r.stderr


@pytest.mark.parametrize("command", (["run", "-p", "x", "-n", "1"], ["chat"]))
def test_a_pass_has_fewer_rows_where_memory_is_short(run, tiny, command):
    """The profile's 128 give way, those of the user do not."""
    def refused(*args):
        """What is said where the process has room and the pass has not: between two bounds that move from run to run, so by small steps."""
        for mib in range(6, 100):  # the first that is more than the process has anyway: with sanitizers that is much
            if b"that the process has" not in run(*command, "-m", tiny, "--profile", "edge", "--memory", f"{mib}M", *args).stderr:
                break
        for kib in range((mib - 2) << 10, (mib + 1) << 10, 128):
            r = run(*command, "-m", tiny, "--profile", "edge", "--memory", f"{kib}K", *args)
            if b"rows a pass" in r.stderr:
                return r
        pytest.fail("no bound was too small for the pass alone")

    for more, rows in (([], b", 64 rows a pass"), (["--chunk", "128"], b", 128 rows a pass")):
        r = refused(*more)
        assert r.returncode == 1 and rows in r.stderr, r.stderr
