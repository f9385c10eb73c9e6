"""A server under load and its client, for the benchmarks of `lathe serve`. Only the standard library."""
import asyncio, json, os, re, signal, subprocess, sys, time
from pathlib import Path

PROGRAM = os.environ.get("LATHE_PROGRAM", str(Path(__file__).resolve().parent.parent / "build/lathe"))


class Server:
    def __init__(self, model, *args):
        began = time.perf_counter()
        self.process = subprocess.Popen([PROGRAM, "serve", "-m", model, "--port", "0", *map(str, args)], stdout=subprocess.PIPE, text=True)
        self.port = 0
        for line in self.process.stdout:
            found = re.match(r"serving http://127\.0\.0\.1:(\d+)", line)
            self.plan = line.strip() if line.startswith("memory:") else getattr(self, "plan", "")
            if found:
                self.port = int(found[1])
                break
        if not self.port:
            sys.exit(f"{PROGRAM} serve does not start")
        self.ready_ms = 1e3 * (time.perf_counter() - began)

    def cpu_s(self):
        f = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def peak_kib(self):
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60):
            sys.exit("the server did not end well")


async def ask(server, prompt, n, key=None):
    """Arrival times of the tokens, counted from the request."""
    head = f"Authorization: Bearer {key}\r\n" if key else ""
    body = json.dumps(dict(prompt=prompt, max_tokens=n, temperature=0, ignore_eos=True, stream=True)).encode()
    began, times = time.perf_counter(), []
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    status = await reader.readline()
    async for line in reader:
        if line.startswith(b"data: {"):
            times.append(time.perf_counter() - began)
    writer.close()
    if b" 200 " not in status or len(times) < n:
        sys.exit(f"{status!r}: {len(times)} of {n} tokens came")
    return times[:n]  # what follows is the event that says why it ended


def percentile(values, q):
    return round(1e3 * sorted(values)[min(len(values) - 1, int(q * len(values)))], 1) if values else None


def ids(rng, n, vocab):
    """A prompt; no two begin alike."""
    return [rng.randrange(200, vocab) for _ in range(n)]
