"""A server under test and its plain client."""
import http.client, json, os, re, signal, subprocess
from pathlib import Path

PROGRAM = os.environ.get("LATHE_PROGRAM", "build/lathe")
SLOW = 10 if os.environ.get("LATHE_CHECK_KIND") else 1


class Server:
    def __init__(self, home, model, *args):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_"))}
        env.update(HOME=str(home))
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", str(model), "--port", "0", *args], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("serving "):
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.lines[-1] if self.lines else "")
        assert found, (self.lines, self.process.stderr.read())
        self.port = int(found[1])

    def ask(self, method, path, body=None, headers={}):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * SLOW)
        c.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body), headers)
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, dict(r.getheaders()), text

    def post(self, path, **body):
        status, _, text = self.ask("POST", path, body)
        return status, json.loads(text)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60 * SLOW)
        return self.process.returncode, err


class Serving(Server):
    """`before` runs in the child before the program does. A start that is refused leaves port 0 and what was said in `err`."""

    def __init__(self, home, model, *args, before=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_"))}
        env.update(HOME=str(home))
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", str(model), "--port", "0", *map(str, args)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, text=True, preexec_fn=before)
        self.lines, self.err, self.port = [], "", 0
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.match(r"serving http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        if not self.port:
            self.err = self.process.communicate(timeout=60 * SLOW)[1]

    def status(self, field):
        """A number of /proc/PID/status; sizes in KiB."""
        found = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text(), re.M)
        return int(found[1])

    def plan(self):
        """The numbers of the line that says where the memory goes, in MiB."""
        line = next(l for l in self.lines if l.startswith("memory: "))
        m = re.match(r"memory: weights (\d+) MiB, KV (\d+) MiB for (\d+) tokens \(up to (\d+) sequences? of up to (\d+)\), "
                     r"buffers up to (\d+) MiB(?:, swap space up to (\d+) MiB)?, (\d+) threads?: at most (\d+) MiB(?: of (\d+) MiB)?$", line)
        assert m, line
        names = ("weights", "kv", "kv_tokens", "sequences", "context", "buffers", "swap", "threads", "total", "bound")
        return {k: int(v) if v else None for k, v in zip(names, m.groups())}


def chunks(raw):
    lines = [l for l in raw.decode().split("\n") if l]
    assert all(l.startswith("data: ") for l in lines) and lines[-1] == "data: [DONE]"
    return [json.loads(l[6:]) for l in lines[:-1]]
