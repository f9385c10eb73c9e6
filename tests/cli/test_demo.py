"""make demo's end: a server that answers one chat, with and without a terminal, on a taken port."""
import os, pty, re, select, signal, socket, subprocess, sys, time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("LATHE_PROGRAM", "build/lathe")
SLOW = 10 if os.environ.get("LATHE_CHECK_KIND") else 1


def free_port(n=2):
    """The first of n ports in a row that nobody has."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        try:
            for i in range(n):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port + i))
            return port
        except (OSError, OverflowError):
            pass


def command(model):
    return [sys.executable, str(ROOT / "tools/demo.py"), PROGRAM, str(model), "Who are you?"]


def env(home, port):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_"))}
    return dict(clean, HOME=str(home), LATHE_DEMO_PORT=str(port), LATHE_API_KEY="not of the demo", LATHE_PARALLEL="-1")


def test_without_a_terminal_it_answers_and_ends(home, tiny):
    port = free_port()
    r = subprocess.run(command(tiny), env=env(home, port), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * SLOW)
    out = r.stdout.decode(errors="replace")
    assert r.returncode == 0, r.stderr
    assert f"serving http://127.0.0.1:{port}\n" in out and "> Who are you?" in out and re.search(r"\d+ tokens, the first after \d+ ms", out)


def test_a_taken_port_gives_way_to_the_next(home, tiny):
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        r = subprocess.run(command(tiny), env=env(home, port), stdout=subprocess.PIPE, timeout=60 * SLOW)
    out = r.stdout.decode(errors="replace")
    assert r.returncode == 0 and f"port {port} is taken, trying {port + 1}" in out and f"serving http://127.0.0.1:{port + 1}\n" in out


def test_on_a_terminal_it_stays_until_ctrl_c(home, tiny):
    port = free_port()
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(sys.executable, command(tiny), env(home, port))
    out, end = b"", time.monotonic() + 60 * SLOW
    while b"until Ctrl-C" not in out and time.monotonic() < end:
        if select.select([fd], [], [], 1)[0]:
            out += os.read(fd, 4096)
    assert b"until Ctrl-C" in out, out
    time.sleep(0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as c:
        c.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 200")
    os.write(fd, b"\x03")
    while time.monotonic() < end:
        try:
            if not os.read(fd, 4096):
                break
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_what_the_server_says_is_passed_on(home, tmp_path):
    r = subprocess.run(command(tmp_path / "none.gguf"), env=env(home, free_port()), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60 * SLOW)
    assert r.returncode == 1 and b"none.gguf" in r.stderr


def test_a_failed_download_names_the_file(home, tmp_path):
    """With a pip that cannot reach anything."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("python3",):
        (fake / name).write_text('#!/bin/sh\nif [ "$3" = --version ]; then exit 0; fi\nexit 1\n')
        (fake / name).chmod(0o755)
    (fake / "make").write_text("#!/bin/sh\nexit 0\n")
    (fake / "cmake").write_text("#!/bin/sh\nexit 0\n")
    for name in ("make", "cmake"):
        (fake / name).chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_"))}
    r = subprocess.run([str(ROOT / "tools/demo.sh")], env=dict(clean, HOME=str(tmp_path), PATH=f"{fake}:{os.environ['PATH']}"),
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * SLOW)
    assert r.returncode == 1
    assert b"the download failed; put the file by hand at %s/.cache/lathe/models/" % str(tmp_path).encode() in r.stderr and b"sha256" in r.stderr
