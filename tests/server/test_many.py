"""256 streams open at once, and 1,000 connections that say nothing beside clients that are answered."""
import asyncio, resource, socket, sys, time
from pathlib import Path

from serving import SLOW, Serving

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))
from storm import Storm, body, head


def test_256_streams_at_once(home, tiny):
    s = Serving(home, tiny)
    storm = Storm(s.port)
    begun = 0

    async def client(all_begun):
        nonlocal begun
        reader, writer = await storm.open()
        data, n = storm.ask(True, n=120)
        writer.write(data)
        status, headers = await head(reader)
        begun += 1
        if begun == 256:
            all_begun.set()
        await all_begun.wait()  # no answer is read before all have begun
        wrong = storm.judge(status, await body(reader, headers), True, n)
        writer.close()
        return wrong

    async def all_of_them():
        all_begun = asyncio.Event()
        return await asyncio.wait_for(asyncio.gather(*(client(all_begun) for _ in range(256))), 120 * SLOW)
    assert asyncio.run(all_of_them()) == [None] * 256
    assert s.stop() == (0, "")


def test_1000_idle_connections(home, tiny):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    s = Serving(home, tiny)
    status, _ = s.post("/v1/completions", prompt="x", max_tokens=100, ignore_eos=True)
    assert status == 200
    before = s.status("VmRSS")
    held = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(1000)]
    began = time.monotonic()
    status, answer = s.post("/v1/completions", prompt="x", max_tokens=100, ignore_eos=True)
    assert status == 200 and answer["usage"]["completion_tokens"] == 100 and time.monotonic() - began < 5 * SLOW
    assert s.status("VmRSS") < before + 48 * 1024 or SLOW > 1
    for c in held[::2]:  # half leave, the others ask after all
        c.close()
    for c in held[1::100]:
        c.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 200")
    assert s.stop() == (0, "")
