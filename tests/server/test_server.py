"""lathe serve over sockets: answers, streams, refusals, many at once, clients that leave, signals."""
import json, signal, socket, threading, time

import pytest

from serving import SLOW, Server, chunks


def text_of(answer):
    return answer["choices"][0]["text"]


def test_plain_endpoints(server):
    for path, word in (("/health", "ok"), ("/ready", "ready")):
        status, headers, text = server.ask("GET", path)
        assert status == 200 and json.loads(text) == {"status": word} and headers["Content-Type"] == "application/json"
    models = json.loads(server.ask("GET", "/v1/models")[2])
    assert [m["id"] for m in models["data"]] == ["tiny"] and models["data"][0]["max_model_len"] == 256
    assert any(l.startswith("memory: weights") for l in server.lines)


def test_the_tokens_of_the_command_line(server, run, tiny):
    expected = run("run", "-m", tiny, "-p", "the inn", "-n", 24, "--temp", 0, "--raw", "--ignore-eos").stdout.decode(errors="replace")
    status, answer = server.post("/v1/completions", prompt="the inn", max_tokens=24, temperature=0, ignore_eos=True)
    assert status == 200 and text_of(answer) in (expected, expected.rstrip("\n"))
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 24, "total_tokens": 29,
                               "prompt_tokens_details": {"cached_tokens": 0}}
    assert set(answer["timings"]) >= {"queue_ms", "prefill_ms", "decode_ms"}
    chat = run("run", "-m", tiny, "-p", "hello", "-n", 9, "--temp", 0, "--ignore-eos").stdout.decode(errors="replace")
    status, answer = server.post("/v1/chat/completions", messages=[{"role": "user", "content": "hello"}], max_tokens=9, temperature=0,
                                 ignore_eos=True)
    assert status == 200 and answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["message"]["content"] in (chat, chat.rstrip("\n"))


@pytest.mark.parametrize("path,ask", [("/v1/completions", {"prompt": "one two"}),
                                      ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": "one"},
                                                                                                           {"type": "text", "text": " two"}]}]})])
def test_a_stream_is_the_answer_in_parts(server, path, ask):
    ask = dict(ask, max_tokens=20, temperature=0.9, seed=11, n=2, ignore_eos=True)
    _, whole = server.post(path, **ask)
    status, headers, raw = server.ask("POST", path, dict(ask, stream=True, stream_options={"include_usage": True}))
    assert status == 200 and headers["Content-Type"] == "text/event-stream" and headers["X-Accel-Buffering"] == "no"
    parts, texts, ends = chunks(raw), ["", ""], {}
    usage, whole_usage = parts[-1]["usage"], whole["usage"]
    assert parts[-1]["choices"] == [] and usage["prompt_tokens_details"].pop("cached_tokens") >= whole_usage["prompt_tokens_details"].pop("cached_tokens")
    assert usage == whole_usage
    for p in parts[:-1]:
        (c,) = p["choices"]
        texts[c["index"]] += c["delta"].get("content", "") if "delta" in c else c["text"]
        if c["finish_reason"]:
            ends[c["index"]] = c["finish_reason"]
    assert texts == [c["message"]["content"] if "message" in c else c["text"] for c in whole["choices"]] and texts[0] != texts[1]
    assert ends == {0: "length", 1: "length"}


def test_prompts_of_every_shape(server):
    ids = [ord(c) for c in "abc"]
    one = text_of(server.post("/v1/completions", prompt=ids, max_tokens=5, temperature=0)[1])
    for prompt in ([ids, ids], ["abc", "abc"]):
        status, answer = server.post("/v1/completions", prompt=prompt, max_tokens=5, temperature=0)
        assert status == 200 and [c["index"] for c in answer["choices"]] == [0, 1]
    assert [c["text"] for c in server.post("/v1/completions", prompt=[ids, ids], max_tokens=5, temperature=0)[1]["choices"]] == [one, one]


def test_the_newer_name_of_max_tokens(server):
    for ask in ({"max_completion_tokens": 3}, {"max_completion_tokens": 3, "max_tokens": 9}, {"max_tokens": 3}):
        answer = server.post("/v1/chat/completions", messages=[{"role": "user", "content": "q"}], ignore_eos=True, **ask)[1]
        assert answer["usage"]["completion_tokens"] == 3


def test_stop_and_bias(server):
    ask = dict(prompt="q", max_tokens=40, temperature=0, ignore_eos=True)
    whole = text_of(server.post("/v1/completions", **ask)[1])
    stop = whole[6:8]
    answer = server.post("/v1/completions", **ask, stop=[stop])[1]
    assert text_of(answer) == whole[:whole.index(stop)] and answer["choices"][0]["finish_reason"] == "stop"
    biased = server.post("/v1/completions", **ask, logit_bias={"65": 100})[1]
    assert text_of(biased) == "A" * 40


def test_logprobs_of_a_chat(server):
    ask = dict(messages=[{"role": "user", "content": "q"}], max_tokens=12, temperature=0, ignore_eos=True, logprobs=True, top_logprobs=3)
    whole = server.post("/v1/chat/completions", **ask)[1]["choices"][0]
    tokens = whole["logprobs"]["content"]
    assert len(tokens) == 12 and b"".join(bytes(t["bytes"]) for t in tokens).decode(errors="replace") == whole["message"]["content"]
    for t in tokens:
        top = t["top_logprobs"]
        assert len(top) == 3 and (top[0]["token"], top[0]["logprob"]) == (t["token"], t["logprob"])  # greedy
        assert 0 >= top[0]["logprob"] >= top[1]["logprob"] >= top[2]["logprob"]
    raw = server.ask("POST", "/v1/chat/completions", dict(ask, stream=True))[2]
    streamed = [t for p in chunks(raw) for t in (p["choices"][0]["logprobs"] or {"content": []})["content"]]
    assert streamed == tokens
    bare = server.post("/v1/chat/completions", **dict(ask, top_logprobs=None))[1]["choices"][0]["logprobs"]["content"]
    assert [(t["logprob"], t["top_logprobs"]) for t in bare] == [(t["logprob"], []) for t in tokens]


def test_logprobs_of_a_text(server, run, tiny):
    ask = dict(prompt="ab", max_tokens=6, temperature=0, ignore_eos=True, logprobs=2)
    choice = server.post("/v1/completions", **ask)[1]["choices"][0]
    l = choice["logprobs"]
    assert len(l["tokens"]) == len(l["token_logprobs"]) == len(l["top_logprobs"]) == len(l["text_offset"]) == 6
    assert l["text_offset"] == [sum(map(len, l["tokens"][:i])) for i in range(6)]
    assert all(max(top.values()) == p and len(top) <= 2 for top, p in zip(l["top_logprobs"], l["token_logprobs"]))
    r = json.loads(run("run", "-m", tiny, "-p", "ab", "-n", 6, "--temp", 0, "--raw", "--ignore-eos", "--logprobs", 2, "--json").stdout)
    assert [t["logprob"] for t in r["tokens"]] == pytest.approx(l["token_logprobs"], abs=1e-5)


def test_the_token_that_ends_an_answer_is_not_listed(server):
    ask = dict(prompt="ab", max_tokens=6, temperature=0, logprobs=0, logit_bias={"261": 100})
    choice = server.post("/v1/completions", **ask)[1]["choices"][0]
    assert choice["finish_reason"] == "stop" and choice["text"] == "" and choice["logprobs"]["tokens"] == []


BAD = [
    ("/v1/completions", b"{", 400, None, "no JSON object"),
    ("/v1/completions", b"[1]", 400, None, "no JSON object"),
    ("/v1/completions", b"\xff", 400, None, "no JSON object"),
    ("/v1/completions", {}, 400, "prompt", "missing"),
    ("/v1/completions", {"prompt": []}, 400, "prompt", "must be"),
    ("/v1/completions", {"prompt": ""}, 400, "prompt", "no tokens"),
    ("/v1/completions", {"prompt": [1, "a"]}, 400, "prompt", "token ids"),
    ("/v1/completions", {"prompt": [288]}, 400, "prompt", "0 to 287"),
    ("/v1/completions", {"prompt": [[1], {}]}, 400, "prompt", "prompt[1]"),
    ("/v1/completions", {"prompt": "x", "max_tokens": 0}, 400, "max_tokens", "echo"),
    ("/v1/completions", {"prompt": "x", "max_tokens": 1.5}, 400, "max_tokens", "whole number"),
    ("/v1/completions", {"prompt": "x", "temperature": "hot"}, 400, "temperature", "number from 0"),
    ("/v1/completions", {"prompt": "x", "temperature": -1}, 400, "temperature", "number from 0"),
    ("/v1/completions", {"prompt": "x", "stream": 1}, 400, "stream", "true or false"),
    ("/v1/completions", {"prompt": "x", "stop": [""]}, 400, "stop", "empty"),
    ("/v1/completions", {"prompt": "x", "stop": ["a"] * 17}, 400, "stop", "more than 16"),
    ("/v1/completions", {"prompt": "x", "logit_bias": {"999": 1}}, 400, "logit_bias", "0 to 287"),
    ("/v1/completions", {"prompt": "x", "stream_options": {"include_usage": True}}, 400, "stream_options", "stream: true"),
    ("/v1/completions", {"prompt": "x", "max_tokens": -1}, 400, "max_tokens", "0 to"),
    ("/v1/completions", {"prompt": "x", "suffix": "y"}, 400, "suffix", "not provided"),
    ("/v1/completions", {"prompt": "x", "best_of": 3}, 400, "best_of", "best_of is 3 and n is 1"),
    ("/v1/completions", {"prompt": "x", "priority": 101}, 400, "priority", "-100 to 100"),
    ("/v1/completions", {"prompt": "x", "timeout_ms": -1}, 400, "timeout_ms", "number from 0"),
    ("/v1/completions", {"prompt": "x", "user": 1}, 400, "user", "string"),
    ("/v1/completions", {"prompt": "x", "metadata": {"a": 1}}, 400, "metadata", "object of strings"),
    ("/v1/completions", {"prompt": "x", "stop": "a\0b"}, 400, "stop", "NUL"),
    ("/v1/completions", {"prompt": "x", "logit_bias": {"01": 1}}, 400, "logit_bias", "0 to 287"),
    ("/v1/completions", {"prompt": "x", "n": 65}, 400, "n", "1 to 64"),
    ("/v1/completions", {"prompt": "x", "model": "gpt-4"}, 404, "model", "gpt-4"),
    ("/v1/completions", {"prompt": "x" * 300}, 400, "prompt", "300 tokens"),
    ("/v1/completions", {"prompt": "x", "max_tokens": 256}, 400, "prompt", "256"),
    ("/v1/completions", {"prompt": "x", "logprobs": 21}, 400, "logprobs", "0 to 20"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2}, 400, "top_logprobs", "logprobs: true"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "logprobs": 1}, 400, "logprobs", "true or false"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "max_completion_tokens": 256}, 400,
     "max_completion_tokens", "256"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 256, "max_completion_tokens": 1}, 400,
     "max_tokens", "256"),
    ("/v1/chat/completions", {}, 400, "messages", "missing"),
    ("/v1/chat/completions", {"messages": []}, 400, "messages", "at least one"),
    ("/v1/chat/completions", {"messages": [{"content": "x"}]}, 400, "messages", "role"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages[0].content", "image_url"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "tools": [{}]}, 400, "tools", "not provided"),
    ("/nowhere", {}, 404, None, "/nowhere"),
    ("/health", {}, 405, None, "method"),
]


@pytest.mark.parametrize("path,body,status,param,words", BAD)
def test_bad_requests_are_named(server, path, body, status, param, words):
    got, _, text = server.ask("POST", path, body)
    error = json.loads(text)["error"]
    assert (got, error["param"]) == (status, param) and words in error["message"] and error["type"] == "invalid_request_error"
    if words in ("300 tokens", "256"):
        assert error["code"] == "context_length_exceeded"


def test_unknown_fields_are_listed_and_harmless_ones_pass(server):
    status, headers, _ = server.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1, "frobnicate": 1, "x\u00e9": 2, "user": "me",
                                                                "logprobs": None, "echo": False, "best_of": 1, "suffix": ""})
    assert status == 200 and headers["X-Lathe-Ignored-Fields"] == "frobnicate, ?"


def test_numbers_of_every_spelling(server):
    """3.0 is whole; what does not fit into 64 bits is refused where it means something and skipped where it does not."""
    body = '{"prompt": [97.0, 98], "max_tokens": 3.0, "ignore_eos": true, "unknown": 99999999999999999999%s}'
    for rest, expected in (("", 200), (', "seed": 5', 200), (', "seed": 9223372036854775808', 400), (', "seed": -9223372036854775809', 400),
                           (', "n": 99999999999999999999', 400), (', "max_tokens": 3.5', 400)):
        assert server.ask("POST", "/v1/completions", (body % rest).replace('"max_tokens": 3.0, ', "") if "max_tokens" in rest else body % rest)[0] \
            == expected, rest


def test_foreign_hosts_and_large_bodies(server):
    assert server.ask("GET", "/health", headers={"Host": "evil.example"})[0] == 403
    assert server.ask("GET", "/health", headers={"Host": f"localhost:{server.port}"})[0] == 200
    status, _, text = server.ask("POST", "/v1/completions", b" " * (33 << 20))
    assert status == 413 and b"larger than" in text


def test_many_together_get_what_each_gets_alone(server):
    asks = [dict(prompt="abcdefg"[:1 + i % 7] * (1 + i % 5), max_tokens=10 + i, temperature=0 if i % 3 else 1.1, seed=i, ignore_eos=True)
            for i in range(24)]
    alone = [server.post("/v1/completions", **a)[1]["choices"] for a in asks]
    together = [None] * len(asks)

    def go(i):
        together[i] = server.post("/v1/completions", **asks[i])[1]["choices"]

    threads = [threading.Thread(target=go, args=(i,)) for i in range(len(asks))]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert together == alone


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_ends_its_request(home, tiny, tmp_path, stream, reset):
    """One sequence at a time: the next request can only be answered soon if the endless one was ended."""
    import tiny_model
    model = tmp_path / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 17)
    s = Server(home, model, "--parallel", "1", "-c", str(1 << 17))
    body = json.dumps(dict(prompt="x", max_tokens=100000, ignore_eos=True, stream=stream))
    c = socket.create_connection(("127.0.0.1", s.port))
    c.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    if stream:
        assert c.recv(100)
    else:
        time.sleep(0.3)
    if reset:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    c.close()
    began = time.monotonic()
    assert s.post("/v1/completions", prompt="x", max_tokens=2)[0] == 200
    assert time.monotonic() - began < 3 * SLOW
    assert s.stop() == (0, "")


def test_a_signal_finishes_what_runs(home, tiny):
    s = Server(home, tiny)
    got = []
    t = threading.Thread(target=lambda: got.append(s.post("/v1/completions", prompt="x", max_tokens=200, ignore_eos=True, n=16)))
    t.start()
    time.sleep(0.1)
    assert s.stop() == (0, "")
    t.join()
    assert got[0][0] in (200, 500) and len(got[0][1].get("choices", [])) in (0, 16)


def test_a_signal_lets_a_stream_end(home, tiny, tmp_path):
    """The client reads late and the answer is larger than what sockets hold: what runs is finished, and sent whole."""
    import tiny_model
    model = tmp_path / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 13)
    s = Server(home, model)
    body = json.dumps(dict(messages=[{"role": "user", "content": "x"}], max_tokens=2500, n=2, ignore_eos=True, stream=True, logprobs=True,
                           top_logprobs=20))
    c = socket.create_connection(("127.0.0.1", s.port))
    c.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    raw = bytearray(c.recv(100))
    assert raw.startswith(b"HTTP/1.1 200")
    s.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    c.settimeout(60 * SLOW)
    while b"[DONE]" not in raw[-60:]:
        part = c.recv(1 << 16)
        assert part, f"cut after {len(raw)} bytes"
        raw += part
    assert len(raw) > 5 << 20 and raw.count(b'"finish_reason":"length"') == 2
    c.close()
    assert (s.process.wait(60 * SLOW), s.process.stderr.read()) == (0, "")


def test_what_cannot_be_served(home, tiny, run, server):
    r = run("serve", "-m", tiny, "--host", "0.0.0.0", "--port", 0)
    assert r.returncode == 2 and b"--insecure" in r.stderr
    r = run("serve", "-m", tiny, "--host", "localhost", "--port", 0)
    assert r.returncode == 2 and b"numeric address" in r.stderr
    r = run("serve", "-m", tiny, "--port", server.port)
    assert r.returncode == 1 and str(server.port).encode() in r.stderr and b"--port" in r.stderr
