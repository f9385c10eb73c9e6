"""Limits of what a client may send and hold, and for how long."""
import http.client, json, socket, time

import pytest

from served import SLOW, Served, raw, until

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"


def closed_after(c, began=None):
    """Seconds until the other end has closed."""
    began = began or time.monotonic()
    c.settimeout(60 * SLOW)
    try:
        while c.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


def test_the_largest_body(home, tiny):
    with Served(home, tiny, "--max-body", 1) as s:
        status, _, text = s.ask("POST", "/v1/completions", b" " * ((1 << 20) + 1))
        assert status == 413 and json.loads(text)["error"]["code"] == "too_large" and b"1.0 MiB" in text
        body = json.dumps(dict(prompt="x", max_tokens=2)).encode()
        assert s.ask("POST", "/v1/completions", body + b" " * ((1 << 20) - len(body)))[0] == 200


def test_nobody_keeps_the_body_of_a_stranger(home, tiny):
    """Memory does not grow by what comes without a key."""
    def peak():
        return int(next(l for l in open(f"/proc/{s.process.pid}/status") if l.startswith("VmHWM")).split()[1])
    with Served(home, tiny, "--max-body", 64, env={"LATHE_API_KEY": "a-secret-of-the-environment"}) as s:
        assert s.status("/health") == 200
        before = peak()
        assert s.ask("POST", "/v1/completions", b" " * (48 << 20))[0] == 401
        assert peak() - before < 8 << 10


def test_the_longest_headers(home, tiny):
    with Served(home, tiny, "--max-header", 8) as s:
        assert s.status("/health", headers={"X-Long": "x" * 3000}) == 200
        assert s.status("/health", headers={"X-Long": "x" * 9000}) == 431
        c = raw(s.port, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 4")
        c.close()


@pytest.mark.parametrize("key,length,status", [("", 10, 401), ("a-secret-of-the-environment", 2 << 20, 413)])
def test_who_asks_before_sending_is_told_at_once(home, tiny, key, length, status):
    with Served(home, tiny, "--max-body", 1, env={"LATHE_API_KEY": "a-secret-of-the-environment"}) as s:
        c = raw(s.port, HEAD + b"Authorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (key.encode(), length))
        assert c.recv(100).startswith(b"HTTP/1.1 %d" % status)
        c.close()
        c = raw(s.port, HEAD + b"Authorization: Bearer a-secret-of-the-environment\r\nExpect: 100-continue\r\nContent-Length: 32\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 100")
        c.sendall(b'{"prompt": "x", "max_tokens": 2}')
        assert c.recv(100).startswith(b"HTTP/1.1 200")
        c.close()


def test_more_connections_than_the_shell_allows_files(home, tiny):
    """The limit of files is raised as far as it may be."""
    import resource
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        s = Served(home, tiny)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with s:
        kept = [raw(s.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(400)]
        assert all(c.recv(100).startswith(b"HTTP/1.1 200") for c in kept)
        [c.close() for c in kept]
        assert s.stop()[0] == 0


@pytest.mark.parametrize("option", ["--max-connections", "--max-connections-per-address"])
def test_the_most_connections(home, tiny, option):
    with Served(home, tiny, option, 4) as s:
        ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        kept = [raw(s.port, ask) for _ in range(4)]
        assert all(c.recv(100).startswith(b"HTTP/1.1 200") for c in kept)
        c = raw(s.port, ask)
        c.settimeout(1)
        try:
            assert c.recv(100) == b""  # closed, or waiting for a place
        except (ConnectionResetError, socket.timeout):
            pass
        c.close()
        [c.close() for c in kept]
        until(lambda: answers(s))


def answers(s):
    try:
        return s.status("/health") == 200
    except (OSError, http.client.HTTPException):
        return False


def test_an_idle_connection_is_closed(home, tiny):
    with Served(home, tiny, "--idle-time", 1) as s:
        c = raw(s.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 200")
        assert 0.5 < closed_after(c) < 4 * SLOW


@pytest.mark.parametrize("first", [b"", b"POST /v1/compl", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n",
                                   b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + HEAD])
def test_a_client_that_sends_a_byte_now_and_then_is_closed(home, tiny, first):
    """It never idles; it is the whole request that has to be there in time. After an answer, idling comes on top."""
    with Served(home, tiny, "--body-time", 1, "--idle-time", 2) as s:
        c, began, open_ = raw(s.port, first), time.monotonic(), True
        c.settimeout(0.1)
        while open_ and time.monotonic() - began < 20 * SLOW:
            try:
                c.sendall(b"x")
                while True:
                    open_ = bool(c.recv(4096))
                    if not open_:
                        break
            except socket.timeout:
                pass
            except OSError:
                open_ = False
        assert not open_ and 0.7 < time.monotonic() - began < 6 * SLOW
        assert s.status("/health") == 200


def test_an_answer_may_take_longer_than_a_request(home, tiny, tmp_path):
    import tiny_model
    model = tmp_path / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 13)
    with Served(home, model, "--body-time", 1, env={"LATHE_TEST_STALL_MS": "2500"}) as s:
        assert s.complete()[0] == 200


def test_the_time_for_a_body_is_live(home, tiny, tmp_path):
    path = tmp_path / "lathe.yaml"
    path.write_text("body-time: 1000\n")
    with Served(home, tiny, "--config", path) as s:
        path.write_text("body-time: 1\n")
        s.hang_up("info reload")
        c = raw(s.port, HEAD)
        assert 0.5 < closed_after(c) < 5 * SLOW
