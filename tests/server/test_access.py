"""Who is let in: keys, roles, limits, hosts, origins, addresses, TLS; and what a reload changes."""
import http.client, json, os, signal, socket, ssl, subprocess, threading, time

import pytest

from served import SLOW, Served, new_key, raw, until

SECRET = "a-secret-of-the-environment"


def error(answer):
    return json.loads(answer[2])["error"]


@pytest.fixture(scope="module")
def keys(run, tmp_path_factory):
    """Name -> secret, and the file that knows them."""
    path, secrets = tmp_path_factory.mktemp("keys") / "keys", {}
    with open(path, "w") as f:
        for name, *args in (("infer",), ("metrics", "--role", "metrics"), ("admin", "--role", "admin"), ("few", "--requests", "2"),
                            ("tokens", "--tokens", "10"), ("one", "--concurrency", "1")):
            secrets[name], line = new_key(run, name, *args)
            f.write(line)
    return path, secrets


@pytest.fixture(scope="module")
def guarded(home, tiny, keys):
    with Served(home, tiny, "--keys", keys[0]) as s:
        yield s
        assert s.stop() == (0, "")


def test_without_a_key_only_health(guarded):
    assert guarded.status("/health") == guarded.status("/ready") == 200
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/completions"), ("POST", "/v1/chat/completions"), ("GET", "/nowhere"),
                         ("POST", "/health"), ("GET", "/v1/completions")):
        got = guarded.ask(method, path, {} if method == "POST" else None)
        assert got[0] == 401 and got[1]["WWW-Authenticate"] == "Bearer" and error(got)["code"] == "invalid_api_key", path


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer {}"}, {"authorization": "bearer  {}"}, {"X-Api-Key": "{}"}])
def test_a_key_is_shown_in_either_way(guarded, keys, headers):
    for secret, status in ((keys[1]["infer"], 200), (keys[1]["infer"][:-1], 401), (keys[1]["infer"] + "x", 401), ("", 401)):
        assert guarded.status("/v1/models", headers={k: v.format(secret) for k, v in headers.items()}) == status


def test_other_schemes_are_no_key(guarded, keys):
    assert guarded.status("/v1/models", headers={"Authorization": "Basic " + keys[1]["infer"]}) == 401
    assert guarded.status("/v1/models", headers={"Authorization": keys[1]["infer"]}) == 401


def test_roles(guarded, keys):
    for name, status in (("infer", 200), ("metrics", 403), ("admin", 403)):
        got = guarded.ask("GET", "/v1/models", key=keys[1][name])
        assert got[0] == status
        if status == 403:
            assert error(got)["code"] == "missing_role"
    assert guarded.status("/nowhere", key=keys[1]["infer"]) == 404
    assert guarded.ask("POST", "/health", {}, key=keys[1]["infer"])[0] == 405


def test_roles_of_operations(guarded, keys):
    for path, name in (("/metrics", "metrics"), ("/admin/requests", "admin")):
        for other in ("infer", "metrics", "admin"):
            assert guarded.status(path, key=keys[1][other]) == (200 if other == name else 403), (path, other)
        assert guarded.status(path) == 401
    assert guarded.ask("DELETE", "/admin/requests/none", key=keys[1]["infer"])[0] == 403
    assert guarded.ask("DELETE", "/admin/requests/none", key=keys[1]["admin"])[0] == 404


def test_requests_a_minute(guarded, keys):
    got = [guarded.complete(key=keys[1]["few"]) for _ in range(3)]
    assert [g[0] for g in got] == [200, 200, 429]
    assert error(got[2])["code"] == "rate_limit_exceeded" and "2 requests a minute" in error(got[2])["message"]
    assert 1 <= int(got[2][1]["Retry-After"]) <= 30
    assert guarded.status("/v1/models", key=keys[1]["few"]) == 200  # what costs nothing is not counted
    assert guarded.complete(key=keys[1]["infer"])[0] == 200


def test_tokens_a_minute(guarded, keys):
    got = [guarded.complete(key=keys[1]["tokens"], max_tokens=19) for _ in range(2)]
    assert [g[0] for g in got] == [200, 429]
    assert "10 tokens a minute" in error(got[1])["message"] and 50 <= int(got[1][1]["Retry-After"]) <= 66


def test_requests_at_once(home, tiny, tmp_path, keys):
    import tiny_model
    model = tmp_path / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 16)
    secret = keys[1]["one"]
    body = json.dumps(dict(prompt="x", max_tokens=60000, ignore_eos=True, stream=True)).encode()
    with Served(home, model, "--keys", keys[0], "-c", 1 << 16) as s:
        c = raw(s.port, b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" %
                (secret.encode(), len(body), body))
        assert c.recv(10)
        got = s.complete(key=secret)
        assert got[0] == 429 and "1 requests at once" in error(got)["message"]
        c.close()
        until(lambda: s.complete(key=secret)[0] == 200)


def test_who_leaves_has_used_what_came(home, tiny, tmp_path, run):
    """A client cannot read most of an answer for nothing."""
    import tiny_model
    model, path = tmp_path / "long.gguf", tmp_path / "keys"
    tiny_model.write(str(model), n_ctx=1 << 16)
    secret, line = new_key(run, "alice", "--tokens", 100)
    admin, admin_line = new_key(run, "boss", "--role", "admin")
    path.write_text(line + admin_line)
    body = json.dumps(dict(prompt="x", max_tokens=60000, ignore_eos=True, stream=True)).encode()
    with Served(home, model, "--keys", path, "-c", 1 << 16) as s:
        c = raw(s.port, b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n%s" %
                (secret.encode(), len(body), body))
        n = 0
        while n < 300:
            n += c.recv(4096).count(b"data: ")
        (listed,) = json.loads(s.ask("GET", "/admin/requests", key=admin)[2])["requests"]
        assert listed["key"] == "alice"
        c.close()
        until(lambda: not json.loads(s.ask("GET", "/admin/requests", key=admin)[2])["requests"])
        got = until(lambda: (a := s.complete(key=secret))[0] == 429 and a)
        assert int(got[1]["Retry-After"]) > 100 and "100 tokens a minute" in error(got)["message"]


def test_a_secret_of_the_environment(home, tiny):
    with Served(home, tiny, env={"LATHE_API_KEY": SECRET}) as s:
        assert s.status("/v1/models") == 401 and s.status("/v1/models", key=SECRET) == 200
        assert SECRET not in "".join(s.out) and s.stop() == (0, "")
    with Served(home, tiny, env={"LATHE_API_KEY": "guess"}) as s:
        assert s.status("/v1/models", key="guess") == 200
        err = s.stop()[1]
        assert err.count("weak_key") == 1 and "guess\"" not in err


def test_rotation_by_reload(home, tiny, run, tmp_path):
    path = tmp_path / "keys"
    (old, old_line), (new, new_line) = new_key(run, "alice"), new_key(run, "alice")
    path.write_text(old_line)
    with Served(home, tiny, "--keys", path) as s:
        steps = [(old_line + new_line, "info reload", 200, 200), (new_line, "info reload", 401, 200),
                 (new_line + "alice infer sha256:beef\n", "error reload", 401, 200)]
        for text, words, of_old, of_new in steps:
            path.write_text(text)
            line = s.hang_up(words)
            assert (s.status("/v1/models", key=old), s.status("/v1/models", key=new)) == (of_old, of_new)
        assert f"{path}:2" in line and "beef" not in line
        path.unlink()
        assert "cannot be read" in s.hang_up("error reload") and s.status("/v1/models", key=new) == 200


def test_a_reload_of_the_configuration(home, tiny, tmp_path):
    path = tmp_path / "lathe.yaml"
    path.write_text("log: json\nparallel: 3\nport: 0\n")
    with Served(home, tiny, "--config", path, "--insecure", port=None) as s:
        ask = dict(headers={"Host": "a.example"})
        assert s.status("/health", **ask) == 200
        path.write_text("log: json\nparallel: 4\nallowed-host: [b.example]\nport: 0\nidle-time: 7\naccess-log: yes\n")
        line = json.loads(s.hang_up('"level": "warn"'))
        assert line["message"].endswith("on a restart: parallel, idle-time") and line["event"] == "reload"
        until(lambda: any('"info", "event": "reload"' in l for l in s.err))
        assert s.status("/health", **ask) == 403 and s.status("/health", headers={"Host": "B.example:1"}) == 200
        until(lambda: any('"request"' in l and json.loads(l)["status"] == 403 for l in s.err))
        path.write_text("log: json\nprt: 4\n")
        line = json.loads(s.hang_up('"level": "error"'))
        assert f"{path}:2: 'prt' is no key: did you mean port?" in line["message"]
        assert s.status("/health", **ask) == 403 and s.stop()[0] == 0


def test_keys_are_not_taken_away_by_a_reload(home, tiny, keys, tmp_path):
    path = tmp_path / "lathe.yaml"
    path.write_text(f"keys: {keys[0]}\n")
    with Served(home, tiny, "--config", path) as s:
        path.write_text("log: text\n")
        assert "needs a restart" in s.hang_up("error reload")
        assert s.status("/v1/models") == 401


def test_hosts(home, tiny):
    with Served(home, tiny) as s:
        for host, status in (("localhost", 200), (f"127.0.0.1:{s.port}", 200), ("[::1]:1", 200), ("evil.example", 403), ("", 403)):
            got = s.ask("GET", "/health", headers={"Host": host})
            assert got[0] == status, host
        assert "--allowed-host" in error(got)["message"]
    with Served(home, tiny, "--allowed-host", "a.example", env={"LATHE_API_KEY": SECRET}) as s:
        assert [s.status("/health", headers={"Host": h}) for h in ("a.example:1", "b.example", "localhost")] == [200, 403, 200]
    with Served(home, tiny, env={"LATHE_API_KEY": SECRET}) as s:
        assert s.status("/health", headers={"Host": "b.example"}) == 200


def test_origins(home, tiny):
    ask = {"Origin": "https://chat.example"}
    before = dict(ask, **{"Access-Control-Request-Method": "POST"})
    with Served(home, tiny) as s:
        got = s.ask("GET", "/health", headers=ask)
        assert got[0] == 200 and not any(h.startswith("Access-Control") for h in got[1])
        assert s.ask("OPTIONS", "/v1/completions", headers=before)[0] == 405
    with Served(home, tiny, "--cors-origin", "https://chat.example", env={"LATHE_API_KEY": SECRET}) as s:
        got = s.ask("OPTIONS", "/v1/completions", headers=before)
        assert got[0] == 204 and "Authorization" in got[1]["Access-Control-Allow-Headers"] and "POST" in got[1]["Access-Control-Allow-Methods"]
        for headers, origin in ((ask, "https://chat.example"), ({"Origin": "https://other.example"}, None), ({}, None)):
            got = s.complete(key=SECRET, headers=headers, stream=True)
            assert got[0] == 200 and got[1].get("Access-Control-Allow-Origin") == origin
        assert s.complete(headers=ask)[1]["Access-Control-Allow-Origin"] == "https://chat.example"  # a page reads its 401, too
    with Served(home, tiny, "--cors-origin", "*") as s:
        assert s.ask("GET", "/health", headers=ask)[1]["Access-Control-Allow-Origin"] == "https://chat.example"


@pytest.mark.parametrize("args,env,code,words", [
    (["--host", "0.0.0.0"], {}, 2, "--insecure"),
    (["--host", "::"], {}, 2, "--insecure"),
    (["--admin-listen", "0.0.0.0:0"], {}, 2, "--admin-listen 0.0.0.0 can be reached by others"),
    (["--admin-listen", "9090"], {}, 2, "--admin-listen 9090 is no address"),
    (["--admin-listen", "localhost:9090"], {}, 2, "no numeric address"),
    (["--admin-listen", "127.0.0.1:70000"], {}, 2, "is no address"),
    (["--admin-listen", "unix:/nowhere/s"], {}, 1, "No such file"),
    (["--admin-listen", "unix:" + "x" * 108], {}, 2, "1 to 107 bytes"),
    (["--keys", "/nowhere/keys"], {}, 3, "/nowhere/keys cannot be read"),
    (["--tls-cert", "/nowhere/cert"], {}, 2, "--tls-cert is given without --tls-key"),
    (["--tls-cert", "/nowhere/cert", "--tls-key", "/nowhere/key"], {}, 3, "/nowhere/cert cannot be read"),
    (["--cors-origin", "chat.example"], {}, 2, "cors-origin 'chat.example' is no origin"),
    (["--config", "/nowhere/lathe.yaml"], {}, 3, "/nowhere/lathe.yaml cannot be read"),
    ([], {"LATHE_MAX_BODY": "0"}, 2, "environment variable LATHE_MAX_BODY '0'"),
])
def test_what_does_not_start(run, tiny, args, env, code, words):
    r = run("serve", "-m", tiny, "--port", 0, *args, env=env)
    assert r.returncode == code and words in r.stderr.decode(), r.stderr


def test_what_is_wrong_is_said_before_the_model_is_read(run, tmp_path):
    r = run("serve", "-m", tmp_path / "none.gguf", "--host", "0.0.0.0")
    assert r.returncode == 2 and b"--insecure" in r.stderr and b"none.gguf" not in r.stderr


def test_others_are_let_in_with_keys(home, tiny):
    with Served(home, tiny, "--host", "0.0.0.0", env={"LATHE_API_KEY": SECRET}) as s:
        assert s.status("/v1/models") == 401 and s.status("/v1/models", key=SECRET) == 200


# ---- a second address ----


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def test_operations_on_an_address_of_their_own(home, tiny):
    with Served(home, tiny, "--admin-listen", "127.0.0.1:0") as s:
        port = int(s.operations.rsplit(":", 1)[1])
        assert port != s.port and s.status("/health") == s.status("/ready") == 404
        assert s.status("/health", port=port) == 200 and s.status("/v1/models", port=port) == 404
        assert s.status("/v1/models") == 200
        for path in ("/metrics", "/admin/requests"):
            assert s.status(path) == 404 and s.status(path, port=port) == 200, path


def test_operations_on_a_socket(home, tiny, tmp_path):
    path = tmp_path / "admin.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # a server that was killed left it
    with Served(home, tiny, "--admin-listen", f"unix:{path}") as s:
        assert s.operations == f"unix:{path}" and path.stat().st_mode & 0o777 == 0o660
        c = UnixConnection(str(path))
        c.request("GET", "/health", headers={"Host": "whatever"})
        assert c.getresponse().status == 200
        r = subprocess.run([os.environ.get("LATHE_PROGRAM", "build/lathe"), "serve", "-m", str(tiny), "--port", "0", "--admin-listen",
                            f"unix:{path}"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, HOME=str(home)))
        assert r.returncode == 1 and b"in use" in r.stderr  # one that lives keeps it
        c.close()
        assert s.stop()[0] == 0 and not path.exists()


# ---- TLS ----


def certificate(folder, name):
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key


def test_https_and_a_new_certificate(home, tiny, tmp_path, run):
    cert, key = certificate(tmp_path, "first")
    other_cert, other_key = certificate(tmp_path, "second")
    trust_first, trust_second = ssl.create_default_context(cafile=str(cert)), ssl.create_default_context(cafile=str(other_cert))
    r = run("serve", "-m", tiny, "--port", 0, "--tls-cert", cert, "--tls-key", other_key)
    assert r.returncode == 2 and b"is not the key of the first certificate" in r.stderr
    r = run("serve", "-m", tiny, "--port", 0, "--tls-cert", key, "--tls-key", key)
    assert r.returncode == 2 and b"is no certificate chain in PEM" in r.stderr
    with Served(home, tiny, "--tls-cert", cert, "--tls-key", key) as s:
        assert s.tls
        status, _, text = s.ask("POST", "/v1/completions", dict(prompt="x", max_tokens=5, stream=True), context=trust_first)
        assert status == 200 and text.endswith(b"data: [DONE]\n\n")
        with pytest.raises(ssl.SSLError):
            s.ask("GET", "/health", context=trust_second)
        kept = http.client.HTTPSConnection("127.0.0.1", s.port, context=trust_first)
        kept.request("GET", "/health")
        assert kept.getresponse().read()
        cert.write_bytes(other_cert.read_bytes())
        assert "is not the key" in s.hang_up("error reload")
        key.write_bytes(other_key.read_bytes())
        s.hang_up("info reload")
        assert s.status("/health", context=trust_second) == 200
        kept.request("GET", "/health")  # what was open stays
        assert kept.getresponse().status == 200
        kept.close()
        plain = raw(s.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP/1.1 200")
        plain.close()
        assert s.stop()[0] == 0


def test_a_client_that_leaves_over_tls(home, tiny, tmp_path):
    import tiny_model
    model = tmp_path / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 16)
    cert, key = certificate(tmp_path, "first")
    body = json.dumps(dict(prompt="x", max_tokens=60000, ignore_eos=True)).encode()
    with Served(home, model, "--tls-cert", cert, "--tls-key", key, "-c", 1 << 16, "--parallel", 1) as s:
        c = ssl._create_unverified_context().wrap_socket(socket.create_connection(("127.0.0.1", s.port)))
        c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        time.sleep(0.3)
        c.close()
        began = time.monotonic()
        assert s.complete()[0] == 200 and time.monotonic() - began < 3 * SLOW
