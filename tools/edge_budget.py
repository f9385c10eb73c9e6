#!/usr/bin/env python3
"""Whether `--profile edge` keeps its budget, measured from outside: edge_budget.py PROGRAM MODEL MEMORY_MIB [EMULATOR and its arguments]

The first start, which lays weights out, and the second one, which maps them, may have no more resident memory than --memory says; a chat
that waits for its next line takes no CPU time. Under an emulator memory is not looked at: its own is in it.
"""
import os, resource, subprocess, sys, tempfile, time
from pathlib import Path

PROGRAM, MODEL, MEMORY, EMULATOR = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
MEMORY += 1024 if EMULATOR else 0  # which the program cannot tell from its own
EDGE = ["-m", MODEL, "--profile", "edge", "--memory", f"{MEMORY}M"]
PROMPT = "Once upon a time there was a lathe that " * 4


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(*args):
    """Of one run; the kernel's own count, file pages that are mapped included."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(PROGRAM, [PROGRAM, *args])
    _, status, used = os.wait4(pid, 0)
    if status:
        sys.exit(f"lathe: {PROGRAM} {' '.join(args[:8])} fails")
    return used.ru_maxrss / 1024


def idle_share(seconds=2.0):
    """CPU seconds a second of a chat that has answered and waits."""
    template = Path(os.environ["LATHE_CACHE_DIR"]) / "template"  # a model that has learnt no chat has none
    template.write_text("{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
    p = subprocess.Popen([*EMULATOR, PROGRAM, "chat", *EDGE, "-n", "8", "--chat-template", template], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(b"hello\n")
    p.stdin.flush()
    p.stdout.read1(1)
    last = cpu_s(p.pid)
    for _ in range(300):  # the answer, and the layout that is written in the background
        time.sleep(0.2)
        now = cpu_s(p.pid)
        if now == last:
            break
        last = now
    time.sleep(seconds)
    share = (cpu_s(p.pid) - last) / seconds
    p.stdin.close()
    if p.wait(60):
        sys.exit("lathe: chat fails")
    return share


def main():
    os.environ["LATHE_CACHE_DIR"] = tempfile.mkdtemp(prefix="lathe-edge-")
    bad = 0
    if not EMULATOR:
        for what in ("first start", "second start"):
            mib = peak_mib("run", *EDGE, "--raw", "--temp", "0", "-n", "32", "--ignore-eos", "-p", PROMPT)
            print(f"{what}: peak of {mib:.0f} MiB resident, --memory {MEMORY}M")
            bad |= mib > MEMORY
    share = idle_share()
    print(f"a chat that waits: {100 * share:.1f} % of a core")
    sys.exit(bool(bad or share > 0.005))


main()
