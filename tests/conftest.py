"""What the black-box tests share: the program under test, a tiny model, a place of its own for every cache."""
import os, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PROGRAM = os.environ.get("LATHE_PROGRAM", str(ROOT / "build/lathe"))
BUILD = Path(os.environ.get("LATHE_BUILD", ROOT / "build"))


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def run(home):
    """run(args ..., stdin=b"", env={}) -> completed process with bytes; nothing of the caller's settings gets in."""
    def go(*args, stdin=b"", env=None, timeout=120):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_"))}
        clean.update(HOME=str(home), **(env or {}))
        return subprocess.run([PROGRAM, *map(str, args)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean,
                              timeout=timeout)
    return go


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    import tiny_model
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(str(path))
    return path


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The same without chat template, f32."""
    import tiny_model
    path = tmp_path_factory.mktemp("model") / "bare.gguf"
    tiny_model.write(str(path), "F32", template=0)
    return path


@pytest.fixture
def cgroup():
    """cgroup(MiB, CPUs) -> a real one; skips where this machine gives none."""
    from cgroup import Cgroup
    made = []

    def make(mib, n_cpu):
        c = Cgroup(mib << 20, n_cpu)
        if c.missing:
            pytest.skip(f"cgroup: {c.missing}")
        made.append(c)
        return c
    yield make
    for c in made:
        c.remove()
