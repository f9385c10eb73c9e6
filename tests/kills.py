"""A quantization that is killed at points of time drawn from a printed seed, and started again: the same bytes, the same report, nothing left."""
import os, random, subprocess, time

from conftest import PROGRAM

METHODS = {"round": [], "importances": ["--method", "round"], "gptq": ["--method", "gptq", "--measure-output"], "awq": ["--method", "awq", "--measure-output"]}
CALIB = ["--calib-ctx", "64", "--calib-tokens", "2048"]


class Kills:
    def __init__(self, home, folder, model, text, method):
        self.out, self.work = folder / "out.gguf", folder / "out.gguf.work"
        self.command = [PROGRAM, "quantize", str(model), str(self.out), "--type", "q4_0", "--json", *METHODS[method]]
        self.command += ["--calib", str(text), *CALIB] if METHODS[method] else []
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"]}
        self.run()  # the kernels are tried once
        start = time.monotonic()
        whole = self.run()
        self.seconds, self.report, self.bytes = time.monotonic() - start, whole.stdout, self.out.read_bytes()
        assert whole.returncode == 0 and not self.work.exists(), whole.stderr
        self.out.unlink()

    def run(self, **more):
        return subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, **more)

    def kill_after(self, seconds):
        p = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env)
        time.sleep(seconds)
        p.kill()
        p.wait()
        assert not self.out.exists() or self.out.read_bytes() == self.bytes  # complete or not at all

    def check(self):
        """What comes of it in the end; whether it went on where the killed one was."""
        r = self.run()
        assert r.returncode == 0, r.stderr
        assert self.out.read_bytes() == self.bytes and r.stdout == self.report
        assert not self.work.exists()
        self.out.unlink()
        return b"resuming an earlier run" in r.stderr

    def at_random(self, n, seed):
        rnd, resumed = random.Random(seed), 0
        for i in range(n):
            at = rnd.uniform(0.02, 1) * self.seconds
            print(f"seed {seed}, point {i}: killed after {at:.3f} s of {self.seconds:.3f}")
            self.kill_after(at)
            resumed += self.check()
        return resumed
