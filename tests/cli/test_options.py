"""Wrong use: exit code 2, one line on stderr that names the value and the remedy, nothing on stdout."""
import pytest

# arguments, words that the line must have
WRONG = [
    (["rn"], ["'rn' is no command", "did you mean run?"]),
    (["qqqqqqq"], ["'qqqqqqq' is no command", "lathe help"]),
    (["run", "--tmp", "1"], ["--tmp is no option of run", "did you mean --temp?"]),
    (["run", "--zzzzzz"], ["--zzzzzz is no option of run", "lathe run --help"]),
    (["run", "-Z"], ["-Z is no option of run"]),
    (["run", "--top-p", "7"], ["--top-p '7' is not a number from 0 to 1"]),
    (["run", "--top-p", "nan"], ["'nan' is not a number"]),
    (["run", "--temp=inf"], ["'inf' is not a number from 0 to 100"]),
    (["run", "-n", "-2"], ["--predict '-2' is not a number from -1"]),
    (["run", "-n", "99999999999999999999"], ["is not a number"]),
    (["run", "-n", "12x"], ["'12x' is not a number"]),
    (["run", "-n", ""], ["'' is not a number"]),
    (["run", "-n"], ["--predict needs a value"]),
    (["run", "--temp"], ["--temp needs a value"]),
    (["run", "--seed", "-1"], ["'-1' is not a whole number"]),
    (["run", "--raw=maybe"], ["--raw 'maybe' is not on or off"]),
    (["bench", "--fusion", "half"], ["--fusion 'half' is not off or on"]),
    (["bench", "-p", "1,,2"], ["--prompt '1,,2' is not at most 32 numbers"]),
    (["bench", "-p", "0"], ["from 1 to"]),
    (["run", "hello"], ["'hello' is no option", "every value follows its option"]),
    (["help", "run", "chat"], ["'chat' is one argument too many"]),
    (["help", "nothing"], ["'nothing' is no command"]),
    (["help", "--completion", "csh"], ["'csh'", "bash, zsh or fish"]),
    (["run", "--top-p", "7", "--tmp", "1", "-n", "x"], ["--top-p '7'", "--tmp is no option", "--predict 'x'"]),
    (["run", "-p", "x"], ["no model", "-m FILE", "LATHE_MODEL"]),
    (["perplexity", "-m", "x"], ["no text", "-f FILE"]),
    (["template", "--template", "x"], ["no variables", "--chat FILE"]),
]


@pytest.mark.parametrize("args,words", WRONG, ids=[" ".join(a)[:40] for a, _ in WRONG])
def test_wrong_use(run, args, words):
    r = run(*args)
    err = r.stderr.decode()
    assert r.returncode == 2, err
    assert r.stdout == b""
    assert err.startswith("lathe: ") and err.count("\n") == 1
    for w in words:
        assert w in err


def test_too_many_of_a_list(run):
    r = run("run", *["--stop=x"] * 65)
    assert r.returncode == 2 and b"--stop is given more than 64 times" in r.stderr


def test_environment_is_checked_too(run):
    r = run("run", "-p", "x", env={"LATHE_THREADS": "many"})
    assert r.returncode == 2 and b"environment variable LATHE_THREADS 'many' is not a number from 0 to 256" in r.stderr
    r = run("version", env={"LATHE_CPU": "mmx"})
    assert r.returncode == 2 and b"LATHE_CPU=mmx is no level" in r.stderr


def test_command_line_beats_environment(run, tiny):
    r = run("info", "-m", tiny, env={"LATHE_MODEL": "/nowhere"})
    assert r.returncode == 0
    assert run("info", env={"LATHE_MODEL": str(tiny)}).stdout == r.stdout


def test_no_command_prints_help_and_fails(run):
    r = run()
    assert r.returncode == 2 and b"usage: lathe COMMAND" in r.stdout


@pytest.mark.parametrize("form", [["--help"], ["-h"], ["help"]])
def test_help(run, form):
    r = run(*form)
    assert r.returncode == 0 and r.stderr == b""
    for name in "run chat bench machine profile perplexity tokenize template info kernels selftest".split():
        assert f"\n  {name} ".encode() in r.stdout


def test_every_command_has_help_with_its_ranges(run):
    names = [line.split()[0] for line in run("help").stdout.decode().splitlines() if line.startswith("  ")]
    assert len(names) >= 13
    for name in names:
        r = run(name, "--help")
        assert r.returncode == 0 and f"usage: lathe {name}" in r.stdout.decode()
        assert r.stdout == run("help", name).stdout
        assert all(len(line) <= 110 for line in r.stdout.decode().splitlines())
    text = run("run", "--help").stdout.decode()
    flat = " ".join(text.split())
    assert "(0 to 1; default 0.9)" in flat and "(default 0; LATHE_SEED)" in flat


def test_man_page_and_completion_name_every_option(run):
    man = run("help", "--man").stdout.decode()
    lines = run("run", "--help").stdout.decode().splitlines()
    options = {w.strip(",") for line in lines if line.startswith("  ") for w in line[:22].split() if w.startswith("--")}
    assert len(options) > 30
    for o in options:
        assert o.replace("-", "\\-") in man
    for shell in ("bash", "zsh", "fish"):
        text = run("help", "--completion", shell).stdout.decode()
        for o in options:
            assert (o if shell != "fish" else "-l " + o[2:]) in text


def test_bash_completion_runs(run, tmp_path):
    import subprocess
    script = tmp_path / "lathe.bash"
    script.write_bytes(run("help", "--completion", "bash").stdout)
    code = f'. {script}; COMP_WORDS=(lathe run --dry-m); COMP_CWORD=2; _lathe; echo "${{COMPREPLY[@]}}"'
    r = subprocess.run(["bash", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert r.stdout.split() == ["--dry-multiplier"]


def test_full_disk_is_an_error(run):
    import os, subprocess
    from conftest import PROGRAM
    if not os.path.exists("/dev/full"):
        return
    with open("/dev/full", "w") as full:
        r = subprocess.run([PROGRAM, "help"], stdout=full, stderr=subprocess.PIPE)
    assert r.returncode == 1 and b"stdout" in r.stderr
