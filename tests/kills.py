"""A quantization that is killed at points of time drawn from a printed seed, and started again: the same bytes, the same report, nothing left."""
import os, random, subprocess, time

from conftest import PROGRAM

JOURNAL_HEAD = 32  # bytes: nothing is noted yet
CALIB = ["--calib-ctx", "64", "--calib-tokens", "2048"]
METHODS = {"round": ["--type", "q4_0"], "importances": ["--type", "q4_0", *CALIB],
           "gptq": ["--type", "q4_0", "--method", "gptq", "--measure-output", *CALIB], "awq": ["--type", "q4_0", "--method", "awq", "--measure-output", *CALIB]}
TARGETS = {"target_bpw": ["--target-bpw", "5", *CALIB], "target_kl": ["--target-kl", "0.02", "--types", "q4_0,q5_0,q8_0", *CALIB]}

FOLDERS = {"int4": ["--type", "int4", "--group", "32"], "nf4": ["--type", "nf4"],
           "int4_gptq": ["--type", "int4", "--group", "32", "--method", "gptq", "--act-order", "--measure-output", *CALIB],
           "int8_awq": ["--type", "int8", "--method", "awq", *CALIB]}


def content(path):
    """Of a file, or of all files in a folder."""
    return {p.name: p.read_bytes() for p in path.iterdir()} if path.is_dir() else path.read_bytes()


def remove(path):
    if path.is_dir():
        for p in path.iterdir():
            p.unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


class Kills:
    def __init__(self, home, folder, model, text, options):
        self.out, self.work = folder / "out.gguf", folder / "out.gguf.work"
        self.command = [PROGRAM, "quantize", str(model), str(self.out), "--json", *options]
        self.command += ["--calib", str(text)] if "--calib-ctx" in options else []
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"]}
        self.run()  # the kernels are tried once
        remove(self.out)
        start = time.monotonic()
        whole = self.run()
        assert whole.returncode == 0 and not self.work.exists(), whole.stderr
        self.seconds, self.report, self.content = time.monotonic() - start, whole.stdout, content(self.out)
        remove(self.out)

    def run(self, **more):
        return subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, **more)

    def start(self):
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env)

    def kill_after(self, seconds):
        p = self.start()
        time.sleep(seconds)
        self.kill(p)

    def journal_bytes(self):
        try:
            return (self.work / "journal").stat().st_size
        except FileNotFoundError:
            return 0

    def kill_when(self, n_bytes):
        """As soon as the journal has that many bytes, however fast the machine is; if it never has, not at all."""
        p = self.start()
        while p.poll() is None and self.journal_bytes() < n_bytes:
            time.sleep(0.0002)
        self.kill(p)

    def kill(self, p):
        p.kill()
        p.wait()
        assert not self.out.exists() or content(self.out) == self.content  # complete or not at all
        assert {p.name for p in self.out.parent.glob("out*")} <= {self.out.name, self.work.name}
        if self.out.is_dir():
            remove(self.out)  # no folder is written over

    def check(self):
        """What comes of it in the end; whether it went on where the killed one was."""
        r = self.run()
        assert r.returncode == 0, r.stderr
        assert content(self.out) == self.content and r.stdout == self.report
        assert not self.work.exists()
        remove(self.out)
        return b"resuming an earlier run" in r.stderr

    def in_the_middle(self):
        """Kills when something is finished, until a later run says that it takes up what is left."""
        for _ in range(10):
            self.kill_when(JOURNAL_HEAD + 1)
            if self.check():
                return True
        return False

    def at_random(self, n, seed):
        rnd, resumed = random.Random(seed), 0
        for i in range(n):
            at = rnd.uniform(0.02, 1) * self.seconds
            print(f"seed {seed}, point {i}: killed after {at:.3f} s of {self.seconds:.3f}")
            self.kill_after(at)
            resumed += self.check()
        return resumed
