"""The installed library: what it exports, and the examples built against it by pkg-config."""
import os, re, shutil, subprocess

import pytest

from conftest import BUILD, ROOT

plain_build = pytest.mark.skipif(os.environ.get("LATHE_CHECK_KIND", "") != "", reason="library: sanitizer builds are not installed")
pytestmark = plain_build


def symbols(*args):
    out = subprocess.run(["nm", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    return {m.group(1) for m in re.finditer(r"^[0-9a-f]+ [A-TV-Z] (\S+)$", out, re.M)}


def declared():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/lathe.h").read_text(), flags=re.S)
    return set(re.findall(r"^LATHE_API [^;]*?(\w+)\(", text, re.M))


@pytest.mark.parametrize("args", [["-D", "--defined-only", BUILD / "liblathe.so"], ["-g", "--defined-only", BUILD / "liblathe.a"]],
                         ids=["shared", "static"])
def test_exports_the_header_and_nothing_else(args):
    assert symbols(*args) == declared()


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    root = tmp_path_factory.mktemp("dest")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", "/opt/lathe"], env={**os.environ, "DESTDIR": str(root)}, check=True,
                   stdout=subprocess.DEVNULL)
    return root / "opt/lathe"


def pkg_config(prefix, *args):
    pc = next(prefix.rglob("lathe.pc"))
    text = pc.read_text().replace(pc.read_text().split("\n")[0], f"prefix={prefix}", 1)
    pc.write_text(text)
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    return subprocess.run(["pkg-config", *args, "lathe"], env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def test_install_tree(prefix):
    names = {str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()}
    for want in ("bin/lathe", "include/lathe.h", "share/man/man1/lathe.1", "share/bash-completion/completions/lathe"):
        assert want in names
    for want in ("liblathe.so", "liblathe.a", "pkgconfig/lathe.pc", "site-functions/_lathe", "lathe.fish"):
        assert any(n.endswith(want) for n in names), want
    assert subprocess.run([prefix / "bin/lathe", "version"], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_examples(prefix, tiny, tmp_path, home, static):
    flags = pkg_config(prefix, "--cflags", "--libs", *(["--static"] if static else []))
    lib = next(prefix.rglob("liblathe.a")).parent
    if static:
        flags = [str(lib / "liblathe.a") if f == "-llathe" else f for f in flags]
    for name in ("generate", "batch", "score"):
        subprocess.run([shutil.which("cc") or "gcc", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / name, ROOT / f"examples/{name}.c", *flags, "-lm"],
                       check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(lib), "HOME": str(home)}

    def go(*args, stdin=b""):
        return subprocess.run([tmp_path / args[0], *map(str, args[1:])], input=stdin, stdout=subprocess.PIPE, env=env, check=True).stdout

    one = go("generate", tiny, "hello", 8)
    two = go("generate", tiny, "the in", 8)
    assert go("batch", tiny, 8, stdin=b"hello\nthe in\n") == b"hello|" + one + b"the in|" + two
    assert b"perplexity" in go("score", tiny, stdin=b"hello the in")
    assert subprocess.run([tmp_path / "generate", "/nowhere", "x"], env=env, stderr=subprocess.DEVNULL).returncode == 3
