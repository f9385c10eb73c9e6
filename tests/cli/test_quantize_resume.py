"""lathe quantize ended in the middle: it goes on where it was, trusts nothing that is not as it was left, and two do not write one file."""
import fcntl, os, random, resource, shutil, signal, time

import pytest

import hf_folder
import tiny_model
from kills import FOLDERS, METHODS, TARGETS, Kills

SEED = random.randrange(1 << 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    tiny_model.write(str(path), "F32", n_layer=12, n_embd=128, alike=1)
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "calib.txt"
    path.write_text("the hello in you and the end of it, in the beginning was the word; " * 120)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_killed_and_resumed(home, tmp_path, model, text, method):
    Kills(home, tmp_path, model, text, METHODS[method]).at_random(1 if os.environ.get("LATHE_CHECK_KIND") else 3, SEED)


@pytest.mark.parametrize("target", TARGETS)
def test_targets_are_killed_and_resumed(home, tmp_path, text, target):
    tiny_model.write(str(tmp_path / "m.gguf"), "F32", n_layer=2, n_embd=128)
    k = Kills(home, tmp_path, tmp_path / "m.gguf", text, TARGETS[target])
    k.at_random(1, SEED)
    assert k.in_the_middle()


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_are_killed_and_resumed(home, tmp_path, text, kind):
    hf_folder.write(tmp_path / "in")
    k = Kills(home, tmp_path, tmp_path / "in", text, FOLDERS[kind])
    k.at_random(1, SEED)
    assert k.in_the_middle()


def left_behind(k, least):
    """Kills until something is left of which a later run says that it takes it up: the folder, as it is then, apart."""
    kept = k.work.with_suffix(".kept")
    for _ in range(10):
        k.kill_when(least)
        if k.journal_bytes() >= least:
            shutil.copytree(k.work, kept, dirs_exist_ok=True)
            if k.check():
                return kept
            shutil.rmtree(kept)
        elif k.work.exists():
            shutil.rmtree(k.work)
        k.out.unlink(missing_ok=True)
    pytest.fail("no run was killed in the middle")


@pytest.fixture(scope="module")
def gptq(home, tmp_path_factory, model, text):
    k = Kills(home, tmp_path_factory.mktemp("gptq"), model, text, METHODS["gptq"])
    return k, left_behind(k, 200)


def test_what_was_left_is_taken_up(gptq):
    k, kept = gptq
    shutil.copytree(kept, k.work)
    assert k.check()


def test_damage_is_not_trusted(gptq):
    """A byte changed or the end cut off, in any of the files: what is not as it was left is done again."""
    k, kept = gptq
    rnd = random.Random(SEED)
    for name in sorted(p.name for p in kept.iterdir()):
        for cut in (False, True):
            shutil.copytree(kept, k.work)
            data = bytearray((k.work / name).read_bytes())
            at = rnd.randrange(len(data))
            print(f"seed {SEED}: {name} {'cut' if cut else 'changed'} at {at} of {len(data)}")
            if cut:
                data = data[:at]
            else:
                data[at] ^= 1 << rnd.randrange(8)
            (k.work / name).write_bytes(data)
            k.check()


def test_files_that_are_gone(gptq):
    k, kept = gptq
    for name in sorted(p.name for p in kept.iterdir()):
        shutil.copytree(kept, k.work)
        (k.work / name).unlink()
        k.check()


def test_other_options_begin_anew(gptq, text):
    k, kept = gptq
    want = k.content
    for changed in (["--type", "q5_0"], ["--calib-tokens", "1024"], ["--damping", "0.5"], ["--calib", str(kept / "other.txt")]):
        (kept / "other.txt").unlink(missing_ok=True)
        shutil.copytree(kept, k.work)
        (kept / "other.txt").write_text(text.read_text()[5:] + "and so on")
        k.command, was = k.command + changed, k.command
        r = k.run()
        k.command = was
        assert r.returncode == 0 and b"of another model or of other options: begun anew" in r.stderr and b"resuming" not in r.stderr, r.stderr
        assert k.out.read_bytes() != want and not k.work.exists()
        k.out.unlink()
    (kept / "other.txt").unlink()


def test_one_at_a_time(gptq):
    k, kept = gptq
    shutil.copytree(kept, k.work)
    with open(k.work / "journal", "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        r = k.run()
        assert r.returncode == 1 and b"out.gguf is being written by another process" in r.stderr and r.stderr.count(b"\n") == 1
    assert k.check()


def test_a_full_disk_ends_it_and_leaves_no_file(gptq):
    """At any size that files may have, the run fails by name or is whole; then there is room and it is finished."""
    k, _ = gptq
    sizes = sorted({0, 100, 1000, 20000, 100000, 200000, 300000, len(k.content) - 1})
    for n in sizes:
        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))
        r = k.run(preexec_fn=small)
        assert r.returncode == 1 and r.stderr.count(b"\n") <= 2 and b"File too large" in r.stderr, (n, r)
        assert not k.out.exists(), n
        k.check()


def test_an_error_in_the_input_leaves_nothing(home, tmp_path, model, run):
    (tmp_path / "short.txt").write_text("hello")
    r = run("quantize", model, tmp_path / "o.gguf", "--type", "q4_0", "--calib", tmp_path / "short.txt")
    assert r.returncode == 3 and [p.name for p in tmp_path.iterdir()] == ["short.txt"]


def test_an_interrupt_keeps_what_was_done(gptq):
    import subprocess
    k, _ = gptq
    p = subprocess.Popen(k.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=k.env)
    end = time.monotonic() + 60
    while time.monotonic() < end and p.poll() is None and k.journal_bytes() <= 200:
        time.sleep(0.001)
    p.send_signal(signal.SIGINT)
    p.wait()
    if p.returncode:  # else it was faster
        assert p.returncode == -signal.SIGINT and k.work.exists() and not k.out.exists()
    k.out.unlink(missing_ok=True)
    k.check()
