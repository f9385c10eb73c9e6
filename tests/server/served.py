"""A running `lathe serve` for tests: its output is read as it comes, its environment and options are free."""
import http.client, json, os, re, signal, socket, ssl, subprocess, threading, time

PROGRAM = os.environ.get("LATHE_PROGRAM", "build/lathe")
SLOW = 10 if os.environ.get("LATHE_CHECK_KIND") else 1


def until(condition, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("it did not come to be")


class Served:
    def __init__(self, home, model, *args, env=None, port="0", ready=True):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LATHE_", "XDG_", "NOTIFY_", "WATCHDOG_"))}
        clean.update(HOME=str(home), **(env or {}))
        ports = ["--port", port] if port else []
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", str(model), *ports, *map(str, args)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=clean)
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
