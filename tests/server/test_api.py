"""The API around generation: tokens and text, echo, ids and traces, what is in flight, what is measured."""
import base64, json, math, socket, struct, threading, time

import pytest
from prometheus_client import parser

from serving import SLOW, Server, chunks


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    import tiny_model
    model = tmp_path_factory.mktemp("long") / "long.gguf"
    tiny_model.write(str(model), n_ctx=1 << 17)
    return model


CHAT = [{"role": "user", "content": "the inn"}]


# ---- tokens and text ----

def test_a_text_as_tokens(server, run, tiny):
    status, answer = server.post("/tokenize", prompt="the inn")
    expected = [int(t) for t in run("tokenize", "-m", tiny, "-p", "the inn", "--ids").stdout.split()]
    assert status == 200 and answer == {"count": 5, "max_model_len": 256, "tokens": expected}
    for name in ("content", "text"):
        assert server.post("/tokenize", **{name: "the inn"})[1] == answer
    assert server.post("/tokenize", prompt="")[1]["tokens"] == []
    assert server.post("/detokenize", tokens=answer["tokens"])[1] == {"prompt": "the inn"}
    pieces = server.post("/tokenize", prompt="the inn", with_pieces=True)[1]["tokens"]
    assert [p["id"] for p in pieces] == answer["tokens"] and "".join(p["piece"] for p in pieces) == "the inn"
    # as in generation
    assert server.post("/v1/completions", prompt="the inn", max_tokens=1)[1]["usage"]["prompt_tokens"] == 5


def test_special_tokens(server):
    assert server.post("/tokenize", prompt="<|im_end|>")[1]["tokens"] == [261]
    assert server.post("/detokenize", tokens=[104, 261])[1] == {"prompt": "h<|im_end|>"}
    info = json.loads(server.ask("GET", "/tokenizer_info")[2])
    assert info["eos_token"] == "<|im_end|>" and info["vocab_size"] == 288 and "im_start" in info["chat_template"]


def test_a_conversation_as_text_and_tokens(server):
    text = "<|im_start|>user\nthe inn<|im_end|>\n"
    assert server.post("/apply-template", messages=CHAT)[1] == {"prompt": text + "<|im_start|>assistant\n"}
    assert server.post("/apply-template", messages=CHAT, add_generation_prompt=False)[1] == {"prompt": text}
    answer = server.post("/tokenize", messages=CHAT)[1]
    assert answer["tokens"] == server.post("/tokenize", text=text + "<|im_start|>assistant\n")[1]["tokens"]
    assert answer["tokens"][0] == 260
    assert answer["count"] == server.post("/v1/chat/completions", messages=CHAT, max_tokens=1)[1]["usage"]["prompt_tokens"]


def test_a_model_that_begins_with_a_token(home, tmp_path):
    """add_special: false is the text alone."""
    import tiny_model
    model = tmp_path / "bos.gguf"
    tiny_model.write(str(model))
    data = model.read_bytes()
    key = b"tokenizer.ggml.add_bos_token" + b"\7\0\0\0"
    assert data.count(key + b"\0") == 1
    model.write_bytes(data.replace(key + b"\0", key + b"\1"))
    s = Server(home, model)
    assert s.post("/tokenize", prompt="h")[1]["tokens"] == [262, 104]
    for name in ("add_special", "add_special_tokens"):
        assert s.post("/tokenize", **{"prompt": "h", name: False})[1]["tokens"] == [104]
    assert s.stop() == (0, "")


BAD = [
    ("/tokenize", {}, None, "one of prompt"),
    ("/tokenize", {"prompt": "a", "text": "b"}, None, "one of prompt"),
    ("/tokenize", {"prompt": 1}, "prompt", "string"),
    ("/tokenize", {"prompt": "a", "add_special": "no"}, "add_special", "true or false"),
    ("/tokenize", {"messages": []}, "messages", "at least one"),
    ("/detokenize", {}, "tokens", "missing"),
    ("/detokenize", {"tokens": "a"}, "tokens", "list"),
    ("/detokenize", {"tokens": [1, 288]}, "tokens", "0 to 287"),
    ("/detokenize", {"tokens": [1.5]}, "tokens", "whole numbers"),
    ("/apply-template", {}, "messages", "missing"),
    ("/apply-template", {"messages": "hi"}, "messages", "list"),
    ("/v1/embeddings", {}, "input", "missing"),
    ("/v1/embeddings", {"input": []}, "input", "must be"),
    ("/v1/embeddings", {"input": "a", "dimensions": 65}, "dimensions", "dimensions is 65, an embedding of this model has 64"),
    ("/v1/embeddings", {"input": "a", "dimensions": 0}, "dimensions", "whole number from 1"),
    ("/v1/embeddings", {"input": "a", "encoding_format": "int8"}, "encoding_format", "base64"),
]


@pytest.mark.parametrize("path,body,param,words", BAD)
def test_bad_requests_are_named(server, path, body, param, words):
    status, _, text = server.ask("POST", path, body)
    error = json.loads(text)["error"]
    assert (status, error["param"]) == (400, param) and words in error["message"], error


def test_unknown_fields_are_listed_everywhere(server):
    for path, body in (("/tokenize", {"prompt": "a"}), ("/detokenize", {"tokens": []}), ("/apply-template", {"messages": CHAT})):
        status, headers, _ = server.ask("POST", path, dict(body, frobnicate=1))
        assert status == 200 and headers["X-Lathe-Ignored-Fields"] == "frobnicate"


# ---- echo ----

def test_an_answer_that_begins_with_the_prompt(server):
    ask = dict(prompt="the inn", max_tokens=7, temperature=0, ignore_eos=True)
    text = server.post("/v1/completions", **ask)[1]["choices"][0]["text"]
    whole = server.post("/v1/completions", **ask, echo=True)[1]
    assert whole["choices"][0]["text"] == "the inn" + text and whole["usage"]["completion_tokens"] == 7
    raw = server.ask("POST", "/v1/completions", dict(ask, echo=True, stream=True))[2]
    assert "".join(c["choices"][0]["text"] for c in chunks(raw)) == "the inn" + text
    ids = server.post("/tokenize", prompt="the inn")[1]["tokens"]
    two = server.post("/v1/completions", **dict(ask, prompt=[ids, [104, 261]], n=2, best_of=2, echo=True))[1]["choices"]
    assert [c["text"].startswith(p) for c, p in zip(two, ["the inn", "the inn", "h<|im_end|>", "h<|im_end|>"])] == [True] * 4


def test_echo_without_new_tokens(server):
    answer = server.post("/v1/completions", prompt="the inn", max_tokens=0, echo=True)[1]
    assert answer["choices"][0]["text"] == "the inn" and answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 0 and answer["usage"]["prompt_tokens"] == 5
    full = server.post("/v1/completions", prompt="x" * 256, max_tokens=0, echo=True)
    assert full[0] == 200 and full[1]["usage"]["prompt_tokens"] == 256


# ---- ids, traces ----

def test_request_ids(server):
    for headers, expected in (({"X-Request-Id": "job 17/a"}, "job 17/a"), ({"X-Request-Id": "x" * 128}, "x" * 128)):
        assert server.ask("GET", "/health", headers=headers)[1]["X-Request-Id"] == expected
    made = [server.ask("GET", "/nowhere", headers=h)[1]["X-Request-Id"] for h in ({}, {"X-Request-Id": "x" * 129}, {"X-Request-Id": "\xe9"})]
    assert len(set(made)) == 3 and all(m.startswith("req-") for m in made)
    status, headers, _ = server.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1, "stream": True}, {"X-Request-Id": "s"})
    assert status == 200 and headers["X-Request-Id"] == "s"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_traces_go_on(server):
    headers = server.ask("GET", "/v1/models", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})[1]
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01") and len(span) == 16 and span != "00f067aa0ba902b7"
    later = server.ask("GET", "/v1/models", headers={"traceparent": f"cc-{TRACE}-00f067aa0ba902b7-00-more"})[1]
    assert later["traceparent"].startswith(f"00-{TRACE}-")


@pytest.mark.parametrize("bad", ["", "00", f"00-{TRACE}-00f067aa0ba902b7-01-more", f"ff-{TRACE}-00f067aa0ba902b7-01",
                                 f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
                                 f"00-{TRACE}-00f067aa0ba902b7-1", f"00-{TRACE}-00f067aa0ba902b7-0g"])
def test_bad_traces_end_here(server, bad):
    assert "traceparent" not in server.ask("GET", "/v1/models", headers={"traceparent": bad})[1]


def test_methods_that_a_path_takes(server):
    status, headers, _ = server.ask("PUT", "/v1/models")
    assert status == 405 and headers["Allow"] == "GET"
    status, headers, _ = server.ask("POST", "/admin/requests/x")
    assert status == 405 and headers["Allow"] == "DELETE"


# ---- what is in flight ----

def wait_for(what, seconds=20):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("it did not come")


def in_flight(s):
    return json.loads(s.ask("GET", "/admin/requests")[2])["requests"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by", ["id", "answer_id"])
def test_requests_in_flight_are_listed_and_cancelled(home, long, stream, by):
    s = Server(home, long, "--parallel", "1", "-c", str(1 << 17))
    assert in_flight(s) == []
    got = []
    body = dict(prompt="x", max_tokens=100000, ignore_eos=True, stream=stream)
    threads = [threading.Thread(target=lambda i=i: got.append((i, s.ask("POST", "/v1/completions", body, {"X-Request-Id": f"r{i}"}))))
               for i in range(2)]
    for i, t in enumerate(threads):
        t.start()
        wait_for(lambda: any(r["id"] == f"r{i}" for r in in_flight(s)))
    rows = wait_for(lambda: [r for r in in_flight(s) if r["state"] == "decode" and r["generated_tokens"] > 3] and in_flight(s))
    first, second = (next(r for r in rows if r["id"] == f"r{i}") for i in range(2))
    assert first["prompt_tokens"] == 1 and first["pages"] > 0 and first["age_ms"] > 0 and first["path"] == "/v1/completions"
    assert second["state"] == "waiting" and second["generated_tokens"] == 0 and second["pages"] == 0
    for r in (second, first):
        status, _, text = s.ask("DELETE", "/admin/requests/" + r[by])
        assert status == 200 and json.loads(text)["cancelled"] == 1
        wait_for(lambda: all(x["id"] != r["id"] for x in in_flight(s)))
    [t.join() for t in threads]
    for i, (status, _, text) in got:
        if stream and i == 0:  # it had begun
            error = chunks(text)[-1]["error"]
            assert status == 200
        else:
            assert status == 499
            error = json.loads(text)["error"]
        assert error["code"] == "cancelled" and "administrator" in error["message"]
    assert s.ask("DELETE", "/admin/requests/r0")[0] == 404
    assert s.stop() == (0, "")


# ---- metrics ----

def metrics(s):
    """{name: {labels as a sorted tuple: value}}, by the parser of Prometheus' own client."""
    status, headers, text = s.ask("GET", "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    out = {}
    for family in parser.text_string_to_metric_families(text.decode()):
        assert family.documentation and family.type in ("gauge", "counter", "histogram"), family
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k not in ("engine", "model_name")))
            assert labels not in out.setdefault(sample.name, {}), (sample.name, labels)
            out[sample.name][labels] = sample.value
            if sample.name.startswith("vllm:"):
                assert sample.labels["model_name"] == "tiny" and sample.labels["engine"] == "0"
    return out


def value(m, name, **labels):
    return m.get(name, {}).get(tuple(sorted(labels.items())), 0)


def test_metrics_count_what_happens(server):
    before = metrics(server)
    server.post("/v1/completions", prompt="the inn", max_tokens=9, temperature=0, ignore_eos=True, n=2)
    server.post("/v1/completions", prompt="xy", max_tokens=9, temperature=0, logit_bias={"261": 100})
    server.post("/v1/completions", prompt="x", max_tokens=999)
    server.post("/v1/completions", prompt="x", model="gpt-4")
    server.ask("GET", "/" + "y" * 50)
    after = metrics(server)

    def grew(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)
    assert grew("vllm:request_success_total", finished_reason="length") == 2
    assert grew("vllm:request_success_total", finished_reason="stop") == 1
    assert grew("vllm:time_to_first_token_seconds_count") == 3 and grew("vllm:inter_token_latency_seconds_count") == 16
    for name in ("e2e_request_latency_seconds", "request_queue_time_seconds", "request_prefill_time_seconds", "request_prompt_tokens"):
        assert grew(f"vllm:{name}_count") == 3
    assert grew("vllm:request_generation_tokens_sum") == 19
    assert grew("vllm:e2e_request_latency_seconds_sum") > 0
    assert grew("lathe_rejections_total", reason="context_length_exceeded") == 1
    assert grew("lathe_rejections_total", reason="model_not_found") == 1
    assert grew("lathe_http_requests_total", endpoint="POST /v1/completions", status="200") == 2
    assert grew("lathe_http_requests_total", endpoint="other", status="404") == 1
    assert grew("vllm:prompt_tokens_total") + grew("vllm:prefix_cache_hits_total") == 12
    assert grew("vllm:generation_tokens_total") == 19
    assert grew("lathe_passes_total") > 0 and value(after, "lathe_pass_sequences_max") >= 2
    assert value(after, "vllm:num_requests_running") == value(after, "vllm:num_requests_waiting") == 0
    assert value(after, "process_resident_memory_bytes") > 1 << 20
    assert abs(value(after, "process_start_time_seconds") - time.time()) < 3600
    assert sum(value(after, "lathe_kv_pages", state=s) for s in ("used", "cached", "free")) > 0


def test_histograms_are_cumulative(server):
    m = metrics(server)
    names = [n[:-len("_bucket")] for n in m if n.endswith("_bucket")]
    assert len(names) == 8
    for name in names:
        buckets = sorted((float(dict(labels)["le"]), n) for labels, n in m[name + "_bucket"].items())
        counts = [n for _, n in buckets]
        assert counts == sorted(counts) and buckets[-1] == (float("inf"), value(m, name + "_count"))


def test_what_clients_send_makes_no_labels(server):
    n = sum(map(len, metrics(server).values()))
    for i in range(50):
        server.ask("GET", f"/p{i}", headers={"X-Request-Id": f"id{i}"})
        server.ask("POST", "/v1/completions", {"prompt": "x", "model": f"m{i}", "user": f"u{i}", f"f{i}": i})
        server.ask("DELETE", f"/admin/requests/{i}")
    assert sum(map(len, metrics(server).values())) <= n + 4


def test_a_client_that_leaves_is_counted(home, long):
    s = Server(home, long, "-c", str(1 << 17))
    body = json.dumps(dict(prompt="x", max_tokens=100000, ignore_eos=True, stream=True))
    c = socket.create_connection(("127.0.0.1", s.port))
    c.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert c.recv(100)
    wait_for(lambda: b"vllm:num_requests_running{engine=\"0\",model_name=\"long\"} 1\n" in s.ask("GET", "/metrics")[2])
    c.close()
    wait_for(lambda: b'finished_reason="abort"} 1\n' in s.ask("GET", "/metrics")[2])
    wait_for(lambda: b"vllm:num_requests_running{engine=\"0\",model_name=\"long\"} 0\n" in s.ask("GET", "/metrics")[2])
    assert s.stop() == (0, "")


# ---- log probabilities of prompts ----

def score(server, **more):
    return server.post("/v1/completions", **dict(dict(temperature=0, logprobs=1, echo=True, seed=1234), **more))[1]


def test_log_probabilities_of_a_prompt(server):
    """Those that generation reports when it is led along the prompt; the first token has none."""
    ids = list(b"the inn")
    l = score(server, prompt=ids, max_tokens=0)["choices"][0]["logprobs"]
    assert l["tokens"] == list("the inn") and l["text_offset"] == list(range(7))
    assert l["token_logprobs"][0] is None and l["top_logprobs"][0] is None
    for i in range(1, 7):
        led = server.post("/v1/completions", prompt=ids[:i], max_tokens=1, temperature=0, logprobs=1, ignore_eos=True)[1]["choices"][0]["logprobs"]
        best = max(led["top_logprobs"][0].values())
        assert max(l["top_logprobs"][i].values()) == best and l["token_logprobs"][i] <= best
        assert l["top_logprobs"][i][l["tokens"][i]] == l["token_logprobs"][i]
    streamed = chunks(server.ask("POST", "/v1/completions", dict(prompt=ids, max_tokens=0, logprobs=1, echo=True, stream=True))[2])
    assert [t for c in streamed for t in c["choices"][0]["logprobs"]["token_logprobs"]] == l["token_logprobs"]


def parse_logprobs(outputs, ctxlens):
    """As lm-eval's local-completions reads an answer (0.4.13)."""
    res = []
    for choice, ctxlen in zip(sorted(outputs["choices"], key=lambda c: c["index"]), ctxlens):
        logprobs = choice["logprobs"]["token_logprobs"][ctxlen:-1]
        top = choice["logprobs"]["top_logprobs"][ctxlen:-1]
        res.append((sum(logprobs), all(p == max(t.values()) for p, t in zip(logprobs, top))))
    return res


@pytest.mark.parametrize("bias", [{}, {"logit_bias": {"261": 100}}])
def test_what_an_evaluation_asks(server, bias):
    """Lists of token ids, echo, max_tokens: 1, logprobs: 1: the generated token is listed also if it ends the answer, since the last entry
    is dropped."""
    prompts = [list(b"the inn is"), list(b"ab"), list(b"xyz" * 20)]
    answer = score(server, prompt=prompts, max_tokens=1, **bias)
    got = parse_logprobs(answer, [4, 1, 10])
    for p, n, (total, greedy) in zip(prompts, [4, 1, 10], got):
        l = score(server, prompt=p, max_tokens=0)["choices"][0]["logprobs"]
        assert len(l["tokens"]) == len(p) and total == pytest.approx(sum(l["token_logprobs"][n:]), abs=1e-4)
        assert greedy == all(x == max(t.values()) for x, t in zip(l["token_logprobs"][n:], l["top_logprobs"][n:]))
    # a continuation that the model itself chose is greedy
    own = server.post("/v1/completions", prompt=prompts[0], max_tokens=5, temperature=0, ignore_eos=True, logprobs=0)[1]["choices"][0]
    ids = prompts[0] + [i for t in own["logprobs"]["tokens"] for i in server.post("/tokenize", prompt=t)[1]["tokens"]]
    if len(ids) == len(prompts[0]) + 5:
        assert parse_logprobs(score(server, prompt=[ids], max_tokens=1), [len(prompts[0])])[0][1]


# ---- embeddings ----

def test_embeddings(server):
    one = server.post("/v1/embeddings", input="the inn", model="tiny")
    assert one[0] == 200 and one[1]["object"] == "list" and one[1]["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    vector = one[1]["data"][0]["embedding"]
    assert len(vector) == 64 and sum(x * x for x in vector) == pytest.approx(1, abs=1e-3)
    ids = server.post("/tokenize", prompt="the inn")[1]["tokens"]
    many = server.post("/v1/embeddings", input=["the inn", ids, "q"], dimensions=64, encoding_format="float")[1]
    assert [d["index"] for d in many["data"]] == [0, 1, 2] and many["usage"]["prompt_tokens"] == 11
    assert many["data"][0]["embedding"] == many["data"][1]["embedding"] == vector != many["data"][2]["embedding"]
    text = server.post("/v1/embeddings", input=ids, encoding_format="base64")[1]["data"][0]["embedding"]
    assert struct.unpack("<64f", base64.b64decode(text)) == pytest.approx(vector, abs=1e-5)
    for n in (1, 24, 63):
        cut = server.post("/v1/embeddings", input=["the inn", "q"], dimensions=n)[1]["data"]
        size = math.sqrt(math.fsum(x * x for x in vector[:n]))
        assert [len(d["embedding"]) for d in cut] == [n, n] and cut[0]["embedding"] == pytest.approx([x / size for x in vector[:n]], abs=1e-5)
    status, answer = server.post("/v1/embeddings", input="x" * 300)
    assert status == 400 and answer["error"]["code"] == "context_length_exceeded"


# ---- too much, too late ----

def occupy(s):
    """A request that takes the only place; returns what ends it."""
    body = json.dumps(dict(prompt="x", max_tokens=100000, ignore_eos=True, stream=True))
    c = socket.create_connection(("127.0.0.1", s.port))
    c.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert c.recv(100)
    return c


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_queue_refuses(home, long, stream):
    s = Server(home, long, "--parallel", "1", "-c", str(1 << 17), "--queue", "1")
    first = occupy(s)
    waiting = threading.Thread(target=lambda: s.post("/v1/completions", prompt="x", max_tokens=1))
    waiting.start()
    wait_for(lambda: len(in_flight(s)) == 2)
    status, headers, text = s.ask("POST", "/v1/completions", dict(prompt="x", max_tokens=1, stream=stream))
    error = json.loads(text)["error"]
    assert (status, error["code"], error["type"]) == (503, "server_busy", "server_error") and "at most 1" in error["message"]
    assert int(headers["Retry-After"]) >= 1
    first.close()
    waiting.join()
    assert b'lathe_rejections_total{reason="server_busy"} 1\n' in s.ask("GET", "/metrics")[2]
    assert s.stop() == (0, "")


@pytest.mark.parametrize("field", ["timeout_ms", "ttft_deadline_ms"])
def test_deadlines(home, long, field):
    s = Server(home, long, "--parallel", "1", "-c", str(1 << 17))
    first = occupy(s)
    began = time.monotonic()
    status, headers, text = s.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1, field: 200})
    assert (status, json.loads(text)["error"]["code"]) == (503, "deadline_exceeded") and int(headers["Retry-After"]) >= 1
    assert 0.15 < time.monotonic() - began < 3 * SLOW
    wait_for(lambda: len(in_flight(s)) == 1)
    if field == "timeout_ms":  # also of what runs, in the stream that has begun
        first.close()
        raw = s.ask("POST", "/v1/completions", dict(prompt="x", max_tokens=100000, ignore_eos=True, stream=True, timeout_ms=300))[2]
        assert chunks(raw)[-1]["error"]["code"] == "deadline_exceeded"
    first.close()
    assert s.stop() == (0, "")


def test_priorities_go_first(home, long):
    s = Server(home, long, "--parallel", "1", "-c", str(1 << 17))
    first = occupy(s)
    order = []

    def go(priority):
        s.post("/v1/completions", prompt="x", max_tokens=600, ignore_eos=True, priority=priority)
        order.append(priority)
    threads = []
    for n, priority in enumerate((-5, -9, -1)):
        threads.append(threading.Thread(target=go, args=(priority,)))
        threads[-1].start()
        wait_for(lambda: len(in_flight(s)) == n + 2)
    assert sorted(r["priority"] for r in in_flight(s)) == [-9, -5, -1, 0]
    first.close()
    [t.join() for t in threads]
    assert order == [-1, -5, -9]
    assert s.stop() == (0, "")
