"""A running `lathe serve` for tests: its output is read as it comes, its environment and options are free."""
import json, re, signal, socket, threading, time

from serving import SLOW, Server, launch


def until(condition, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("it did not come to be")


class Served(Server):
    def __init__(self, home, model, *args, env=None, port="0"):
        self.process = launch(home, model, *(["--port", port] if port else []), *args, env=env)
        self.out, self.err = [], []
        self.threads = [threading.Thread(target=self.read, args=(f, to)) for f, to in
                        ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        [t.start() for t in self.threads]
        until(lambda: self.process.poll() is not None or any(l.startswith("serving ") for l in self.out))
        found = re.search(r"serving (https?)://\S+:(\d+)", "".join(self.out))
        assert found, (self.out, self.err)
        self.tls, self.port = found[1] == "https", int(found[2])
        found = re.search(r"operations (\S+)", "".join(self.out))
        self.operations = found and found[1]

    @staticmethod
    def read(f, to):
        for line in f:
            to.append(line.decode())

    def status(self, path, **more):
        return self.ask("GET", path, **more)[0]

    def complete(self, key=None, headers={}, **body):
        return self.ask("POST", "/v1/completions", dict({"prompt": "x", "max_tokens": 2, "ignore_eos": True}, **body), headers, key=key)

    def hang_up(self, words):
        """Reloads and waits for a line with these words."""
        n = len(self.err)
        self.process.send_signal(signal.SIGHUP)
        return until(lambda: next((l for l in self.err[n:] if words in l), None))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60 * SLOW)
        [t.join() for t in self.threads]
        return code, "".join(self.err)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        [t.join() for t in self.threads]


def new_key(run, name, *args):
    made = json.loads(run("key", "new", name, "--json", *args).stdout)
    return made["key"], made["line"] + "\n"


def raw(port, data, host="127.0.0.1"):
    s = socket.create_connection((host, port), timeout=30 * SLOW)
    s.sendall(data)
    return s
