"""A server under test and its plain client."""
import contextlib, http.client, json, os, re, signal, ssl, subprocess
from pathlib import Path

PROGRAM = os.environ.get("LATHE_PROGRAM", "build/lathe")
SLOW = 10 if os.environ.get("LATHE_CHECK_KIND") else 1


def launch(home, model, *args, env=None, **how):
    """Starts the program with nothing of the caller's settings; its output comes through pipes."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_", "NOTIFY_", "WATCHDOG_"))}
    clean.update(HOME=str(home), **(env or {}))
    return subprocess.Popen([PROGRAM, "serve", "-m", str(model), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean, **how)


class Server:
    tls = False

    def __init__(self, home, model, *args, before=None):
        self.process = launch(home, model, "--port", "0", *args, text=True, preexec_fn=before)
        self.lines, self.err, self.port = [], "", 0
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.match(r"serving http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        if not self.port:
            self.err = self.process.communicate(timeout=60 * SLOW)[1]
        self.check_start()

    def check_start(self):
        assert self.port, (self.lines, self.err)

    def ask(self, method, path, body=None, headers={}, port=None, key=None, context=None):
        to = ("127.0.0.1", port or self.port)
        if self.tls:
            c = http.client.HTTPSConnection(*to, timeout=60 * SLOW, context=context or ssl._create_unverified_context())
        else:
            c = http.client.HTTPConnection(*to, timeout=60 * SLOW)
        headers = dict(headers, **({"Authorization": "Bearer " + key} if key else {}))
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


@contextlib.contextmanager
def running(home, model, *args):
    """A server that in the end has nothing to complain of."""
    server = Server(home, model, *args)
    yield server
    code, err = server.stop()
    assert code == 0 and err == "", err


class Serving(Server):
    """`before` runs in the child before the program does. A start that is refused leaves port 0 and what was said in `err`."""

    def check_start(self):
        pass

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
