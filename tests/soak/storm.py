"""Clients of every kind against one server: good ones, and such as leave, dribble, read slowly, send rubbish or say nothing.

Only the standard library: asyncio over raw sockets, so that a client can break off wherever it wants. Each kind is a coroutine that
returns None, or one line on what went wrong; KINDS says how often each comes.
"""
import asyncio, json, random, socket, struct

LINGER_RST = struct.pack("ii", 1, 0)
RUBBISH = [  # bytes, statuses that are right; none: the connection may also just end
    (b"GARBAGE\r\n\r\n", {400, 404, 405, 501, None}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n{x}", {400}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n[]", {400}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", {400}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n{\"prompt\": 1e9}", {400}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", {400, None}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400, None}),
    (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n{\"messages\": [{}]", {400}),
    (b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}),
    (b"DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", {405}),
    (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70000 + b"\r\n\r\n", {400, 413, 414, 431, None}),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404, 413, 414, 431, None}),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", {400, 404, 405, 501, None}),
]


def request(path, body):
    text = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text


async def head(reader):
    """Status and headers of an answer; (None, {}) if the connection ended first."""
    line = await reader.readline()
    if not line.startswith(b"HTTP/1."):
        return None, {}
    headers = {}
    while True:
        h = (await reader.readline()).strip()
        if not h:
            return int(line.split()[1]), headers
        name, _, value = h.partition(b":")
        headers[name.lower()] = value.strip()


async def body(reader, headers, pause=None):
    """The rest of the answer. `pause`: seconds between small reads."""
    if headers.get(b"transfer-encoding") == b"chunked":
        out = bytearray()
        while True:
            n = int((await reader.readline()).strip() or b"0", 16)
            part = await reader.readexactly(n + 2)
            out += part[:-2]
            if n == 0:
                return bytes(out)
            if pause:
                await asyncio.sleep(pause)
    if b"content-length" not in headers:
        return await reader.read()
    n, out = int(headers[b"content-length"]), b""
    while pause and len(out) < n:
        out += await reader.read(min(64, n - len(out)))
        await asyncio.sleep(pause)
    return out if pause else await reader.readexactly(n)


class Storm:
    def __init__(self, port, seed=0, timeout=120):
        self.port, self.timeout, self.rng, self.held = port, timeout, random.Random(seed), []

    async def open(self, rcvbuf=None):
        s = socket.socket()
        s.setblocking(False)
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        await asyncio.get_running_loop().sock_connect(s, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=s)

    def ask(self, stream, n=None):
        """A request whose answer has exactly n tokens, and the answer's check."""
        r = self.rng
        n = n or r.randint(1, 40)
        prompt = "".join(chr(97 + r.randrange(26)) for _ in range(r.randint(1, 60)))
        fields = dict(max_tokens=n, temperature=r.choice((0, 0.9)), seed=r.randrange(1000), ignore_eos=True, stream=stream)
        if stream:
            fields["stream_options"] = {"include_usage": True}
        if r.random() < 0.2:
            fields["logprobs"] = True if stream else 3
        if stream:
            return request("/v1/chat/completions", dict(fields, messages=[{"role": "user", "content": prompt}])), n
        return request("/v1/completions", dict(fields, prompt=prompt)), n

    def judge(self, status, raw, stream, n):
        if status != 200:
            return f"status {status}: {raw[:200]!r}"
        try:
            if stream:
                lines = [l for l in raw.split(b"\n") if l.startswith(b"data: ")]
                if lines[-1] != b"data: [DONE]":
                    return f"a stream ends in {lines[-1][:100]!r}"
                usage = json.loads(lines[-2][6:])["usage"]
            else:
                usage = json.loads(raw)["usage"]
        except (ValueError, KeyError, IndexError) as e:
            return f"{type(e).__name__} in {raw[-200:]!r}"
        return None if usage["completion_tokens"] == n else f"{usage} instead of {n} tokens"

    async def good(self, stream, times=1, **reading):
        rcvbuf = 4096 if reading else None
        reader, writer = await self.open(rcvbuf)
        try:
            for _ in range(times):
                data, n = self.ask(stream)
                writer.write(data)
                status, headers = await head(reader)
                wrong = self.judge(status, await body(reader, headers, **reading), stream, n)
                if wrong:
                    return wrong
        finally:
            writer.close()

    async def whole(self):
        return await self.good(False)

    async def stream(self):
        return await self.good(True)

    async def kept_alive(self):
        return await self.good(False, times=3)

    async def reads_slowly(self):
        return await self.good(True, pause=0.004)

    async def dribbles(self):
        reader, writer = await self.open()
        try:
            data, n = self.ask(False)
            for at in range(0, len(data), 23):
                writer.write(data[at:at + 23])
                await writer.drain()
                await asyncio.sleep(0.001)
            status, headers = await head(reader)
            return self.judge(status, await body(reader, headers), False, n)
        finally:
            writer.close()

    def leave(self, writer):
        """FIN or RST."""
        if self.rng.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RST)
            writer.transport.abort()
        else:
            writer.close()

    async def leaves(self):
        """Before the answer, or in it; long answers, so that there is something to end."""
        reader, writer = await self.open()
        data, _ = self.ask(self.rng.random() < 0.7, n=150)
        writer.write(data)
        await writer.drain()
        for _ in range(self.rng.randrange(4)):
            if not await reader.read(200):
                break
        await asyncio.sleep(self.rng.random() * 0.02)
        self.leave(writer)

    async def leaves_in_its_request(self):
        reader, writer = await self.open()
        data, _ = self.ask(False)
        writer.write(data[:self.rng.randrange(1, len(data))])
        await writer.drain()
        self.leave(writer)

    async def sends_rubbish(self):
        reader, writer = await self.open()
        data, right = self.rng.choice(RUBBISH)
        try:
            writer.write(data)
            if writer.can_write_eof():
                writer.write_eof()
            status, headers = await head(reader)
        except (ConnectionError, OSError):
            status = None
        finally:
            writer.close()
        return None if status in right else f"status {status} to {data[:60]!r}"

    async def says_nothing(self):
        """Stays open, half open or with half a request; `quiet` closes it later."""
        reader, writer = await self.open()
        if self.rng.random() < 0.7:
            writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: loc"[:self.rng.randrange(1, 42)])
        if self.rng.random() < 0.3:
            writer.write_eof()
        self.held.append(writer)
        if len(self.held) > 30:
            self.leave(self.held.pop(0))

    def quiet(self):
        while self.held:
            self.leave(self.held.pop())

    KINDS = ((30, whole), (30, stream), (6, kept_alive), (6, reads_slowly), (4, dribbles), (10, leaves), (4, leaves_in_its_request),
             (8, sends_rubbish), (2, says_nothing))

    async def one(self):
        """One client of a random kind: its name and what went wrong."""
        kind = self.rng.choices([k for _, k in self.KINDS], [w for w, _ in self.KINDS])[0]
        try:
            return kind.__name__, await asyncio.wait_for(kind(self), self.timeout)
        except asyncio.TimeoutError:
            return kind.__name__, f"nothing came for {self.timeout} s"
        except (ConnectionError, asyncio.IncompleteReadError, OSError) as e:
            if kind.__name__.startswith("leaves"):
                return kind.__name__, None
            return kind.__name__, f"{type(e).__name__}: {e}"
