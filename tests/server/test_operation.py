"""What whoever runs the server sees: health, the service manager's signals, logs."""
import json, os, re, shutil, signal, socket, subprocess, threading, time
from pathlib import Path

import pytest

from served import SLOW, Served, new_key, raw, until

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-of-the-environment"
PROMPT = "the-prompt-of-which-nobody-knows"


# ---- health ----

def test_a_stall_is_seen(home, tiny):
    with Served(home, tiny, "--stall-time", 1, env={"LATHE_TEST_STALL_MS": "3500"}) as s:
        assert s.status("/health") == 200
        time.sleep(1.5)
        assert s.status("/health") == 200  # nothing to do is no stall
        got = []
        t = threading.Thread(target=lambda: got.append(s.complete()[0]))
        t.start()
        status, _, text = until(lambda: (a := s.ask("GET", "/health"))[0] == 503 and a)
        assert json.loads(text) == {"status": "failed"} and s.status("/ready") == 503 and not got
        t.join()
        assert got == [200]
        until(lambda: s.status("/health") == 200 and s.status("/ready") == 200)


# ---- the service manager ----

@pytest.fixture(params=["file", "abstract"])
def notify(request, tmp_path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = str(tmp_path / "notify") if request.param == "file" else f"@lathe-test-{os.getpid()}"
    s.bind(name.replace("@", "\0", 1))
    s.settimeout(20 * SLOW)
    yield name, s
    s.close()


def test_the_life_of_a_service(home, tiny, notify):
    name, socket_ = notify
    env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}
    with Served(home, tiny, env=env) as s:
        heard = [socket_.recv(200).decode() for _ in range(4)]
        assert heard[0] == "READY=1" and set(heard[1:]) == {"WATCHDOG=1"}
        s.process.send_signal(signal.SIGHUP)
        while not (m := socket_.recv(200).decode()).startswith("RELOADING=1\nMONOTONIC_USEC="):
            assert m == "WATCHDOG=1"
        assert socket_.recv(200) == b"READY=1"
        s.process.send_signal(signal.SIGTERM)
        while (m := socket_.recv(200).decode()) == "WATCHDOG=1":
            pass
        assert m == "STOPPING=1" and s.stop()[0] == 0


def test_the_watchdog_hears_nothing_of_a_stalled_engine(home, tiny, notify):
    name, socket_ = notify
    env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000", "LATHE_TEST_STALL_MS": "5000"}
    with Served(home, tiny, "--stall-time", 1, env=env) as s:
        t = threading.Thread(target=s.complete)
        t.start()
        until(lambda: s.status("/health") == 503)
        socket_.setblocking(False)
        try:
            while socket_.recv(200):
                pass
        except BlockingIOError:
            pass
        time.sleep(1)
        with pytest.raises(BlockingIOError):
            socket_.recv(200)
        t.join()
        socket_.settimeout(20 * SLOW)
        assert socket_.recv(200) == b"WATCHDOG=1"


def test_the_unit_is_right(tmp_path):
    tool = shutil.which("systemd-analyze")
    if not tool:
        pytest.skip("systemd-analyze: is not here")
    text = (ROOT / "deploy/lathe.service").read_text()
    unit = tmp_path / "lathe.service"
    unit.write_text(re.sub(r"/usr/local/bin/lathe", os.path.abspath(os.environ.get("LATHE_PROGRAM", "build/lathe")), text))
    r = subprocess.run([tool, "verify", "--man=no", str(unit)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "lathe.service" not in r.stdout, r.stdout
    assert "Type=notify" in text and "WatchdogSec=" in text


def test_the_unit_starts_a_server(home, tiny, tmp_path, run):
    """Its command and environment, without its manager."""
    text = (ROOT / "deploy/lathe.service").read_text()
    command = re.search(r"^ExecStart=/usr/local/bin/lathe (.*)$", text, re.M)[1].split()
    assert command == ["serve", "--config", "/etc/lathe/lathe.yaml"]


# ---- logs ----

@pytest.mark.parametrize("form", ["json", "text"])
def test_neither_prompts_nor_keys_are_logged(home, tiny, run, tmp_path, form):
    path = tmp_path / "keys"
    key, line = new_key(run, "alice")
    path.write_text(line)
    with Served(home, tiny, "--keys", path, "--log", form, "--log-level", "debug", "--access-log") as s:
        assert s.complete(key=key, prompt=PROMPT)[0] == 200
        assert s.complete(key=key, prompt=PROMPT, stream=True)[0] == 200
        assert s.complete(key=key + "x", prompt=PROMPT)[0] == 401
        assert s.complete(key=key, prompt=PROMPT * 100)[0] == 400
        assert s.ask("GET", f"/v1/models?prompt={PROMPT}&key={key}", key=key)[0] == 200
        assert s.complete(headers={"X-Api-Key": key}, prompt=PROMPT)[0] == 200
        path.write_text(f"alice infer {key}\n")  # a secret where its hash should be
        s.hang_up("error")
        code, err = s.stop()
        logged = err + "".join(s.out)
        assert code == 0 and err.count("request") >= 6
        assert PROMPT not in logged and key not in logged and line.split("sha256:")[1][:20] not in logged


def test_the_line_of_a_request(home, tiny, run, tmp_path):
    path = tmp_path / "keys"
    key, line = new_key(run, "alice")
    path.write_text(line)
    with Served(home, tiny, "--keys", path, "--log", "json", "--access-log") as s:
        answer = json.loads(s.complete(key=key, prompt="abc", max_tokens=4, headers={"X-Request-Id": 'my "id"'})[2])
        assert s.status("/nowhere") == 401
        assert s.stop()[0] == 0
        lines = [json.loads(l) for l in s.err]
    first, second = sorted((l for l in lines if l["event"] == "request"), key=lambda l: l["status"])  # written by threads of their own
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time")) and first.pop("level") == "info"
    assert first.pop("total_ms") >= first.pop("ttft_ms") >= first.pop("queue_ms") >= 0
    assert first == {"event": "request", "id": answer["id"], "request_id": 'my "id"', "key": "alice", "method": "POST",
                     "route": "/v1/completions", "status": 200, "prompt_tokens": 3, "cached_tokens": 0, "completion_tokens": 4}
    assert second["status"] == 401 and "key" not in second and "id" not in second


@pytest.mark.parametrize("stream,status", [(True, 200), (False, 499)])
def test_a_client_that_leaves_is_in_the_log(home, tiny, tmp_path, stream, status):
    import tiny_model
    model = tmp_path / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 16)
    with Served(home, model, "--access-log", "--log", "json", "-c", 1 << 16) as s:
        body = json.dumps(dict(prompt="x", max_tokens=60000, ignore_eos=True, stream=stream)).encode()
        c = raw(s.port, b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert not stream or c.recv(10)
        time.sleep(0.2)
        c.close()
        line = json.loads(until(lambda: next((l for l in s.err if "request" in l), None)))
        assert line["status"] == status and line["end"] == "the client left" and line["prompt_tokens"] == 1


def test_prompts_are_logged_when_asked_for(home, tiny):
    with Served(home, tiny, "--access-log", "--log-prompts") as s:
        assert s.complete(prompt=PROMPT)[0] == 200
        assert PROMPT in s.stop()[1]


def test_levels(home, tiny, tmp_path):
    with Served(home, tiny, "--access-log", "--log-level", "warn") as s:
        assert s.complete()[0] == 200 and s.stop() == (0, "")
    with Served(home, tiny) as s:
        assert s.complete()[0] == 200 and s.stop() == (0, "")
