"""The real clients of OpenAI's API, unchanged: CLIENTS x CASES, a function of the name client_case for each cell. `make lint` fails if one is
missing. What a client returns is compared with what the plain one gets."""
import math, os, re, time

import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no list from the network
import langchain_openai
import litellm
import openai
from langchain_core.messages import HumanMessage

from serving import SLOW, Server

CLIENTS = ("openai", "litellm", "langchain")
CASES = ("stream", "not", "logprobs", "stop", "n", "error", "disconnect")
MESSAGES = [{"role": "user", "content": "the inn"}]
GREEDY = dict(max_tokens=12, temperature=0)
MORE = {"extra_body": {"ignore_eos": True}}


@pytest.fixture(scope="module")
def server(home, tmp_path_factory):
    import tiny_model
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(str(model), n_ctx=1 << 15)
    s = Server(home, model, "-c", str(1 << 15))
    yield s
    assert s.stop() == (0, "")


@pytest.fixture(scope="module")
def plain(server):
    """plain(**fields) -> the first choice as the plain client gets it."""
    def go(**fields):
        status, answer = server.post("/v1/chat/completions", **dict(dict(messages=MESSAGES, ignore_eos=True, **GREEDY), **fields))
        assert status == 200, answer
        return answer["choices"][0]
    return go


def text_of(plain, **fields):
    text = plain(**fields)["message"]["content"]
    assert text
    return text


def aborted(server):
    found = re.search(r'finished_reason="abort"} (\d+)', server.ask("GET", "/metrics")[2].decode())
    return int(found[1])


def wait_for_abort(server, before):
    """It is counted, and the engine runs nothing any more."""
    end = time.monotonic() + 20 * SLOW
    idle = b'vllm:num_requests_running{engine="0",model_name="tiny"} 0\n'
    while (aborted(server) == before or idle not in server.ask("GET", "/metrics")[2]) and time.monotonic() < end:
        time.sleep(0.02)
    assert aborted(server) == before + 1 and idle in server.ask("GET", "/metrics")[2]


def is_stop(plain):
    """A piece from the middle of the answer, and what comes before it."""
    text = text_of(plain)
    stop = text[5:7]
    return stop, text[:text.index(stop)]


# ---- openai ----

def an_openai(server):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


def openai_stream(server, plain):
    parts = list(an_openai(server).chat.completions.create(model="tiny", messages=MESSAGES, stream=True, **GREEDY, **MORE,
                                                           stream_options={"include_usage": True}))
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == text_of(plain)
    assert parts[-1].usage.completion_tokens == 12 and parts[-2].choices[0].finish_reason == "length"


def openai_not(server, plain):
    c = an_openai(server)
    answer = c.chat.completions.create(model="default", messages=MESSAGES, **GREEDY, **MORE)
    assert answer.choices[0].message.content == text_of(plain) and answer.usage.completion_tokens == 12
    assert [m.id for m in c.models.list()] == ["tiny"]
    expected = server.post("/v1/completions", prompt="ab", ignore_eos=True, **GREEDY)[1]["choices"][0]["text"]
    assert c.completions.create(model="tiny", prompt="ab", **GREEDY, **MORE).choices[0].text == expected


def openai_logprobs(server, plain):
    expected = plain(logprobs=True, top_logprobs=2)["logprobs"]["content"]
    got = an_openai(server).chat.completions.create(model="tiny", messages=MESSAGES, logprobs=True, top_logprobs=2, **GREEDY, **MORE)
    tokens = got.choices[0].logprobs.content
    assert [(t.token, t.logprob, t.bytes, len(t.top_logprobs)) for t in tokens] == \
        [(t["token"], t["logprob"], t["bytes"], 2) for t in expected]
    text = an_openai(server).completions.create(model="tiny", prompt="ab", logprobs=2, **GREEDY, **MORE).choices[0].logprobs
    assert len(text.tokens) == len(text.token_logprobs) == len(text.top_logprobs) == 12


def openai_stop(server, plain):
    stop, before = is_stop(plain)
    answer = an_openai(server).chat.completions.create(model="tiny", messages=MESSAGES, stop=[stop], **GREEDY, **MORE).choices[0]
    assert (answer.message.content, answer.finish_reason) == (before, "stop")


def openai_n(server, plain):
    answer = an_openai(server).chat.completions.create(model="tiny", messages=MESSAGES, n=3, temperature=1.1, seed=5, max_tokens=12, **MORE)
    texts = [c.message.content for c in answer.choices]
    assert [c.index for c in answer.choices] == [0, 1, 2] and len(set(texts)) == 3
    assert texts[0] == text_of(plain, temperature=1.1, seed=5)


def openai_error(server, plain):
    c = an_openai(server)
    with pytest.raises(openai.NotFoundError) as e:
        c.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert e.value.code == "model_not_found" and e.value.param == "model" and "tiny" in e.value.message
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as e:
            c.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=1 << 15, stream=stream)
        assert e.value.code == "context_length_exceeded" and e.value.type == "invalid_request_error" and str(1 << 15) in e.value.message
    with pytest.raises(openai.BadRequestError) as e:
        c.chat.completions.create(model="tiny", messages=MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}])
    assert e.value.code == "unsupported_field" and e.value.param == "tools"


def openai_disconnect(server, plain):
    stream = an_openai(server).chat.completions.create(model="tiny", messages=MESSAGES, stream=True, max_tokens=30000, **MORE)
    next(iter(stream))
    stream.close()


# ---- litellm ----

def ask_litellm(server, **fields):
    return litellm.completion(model="openai/tiny", api_base=f"http://127.0.0.1:{server.port}/v1", api_key="none", messages=MESSAGES,
                              num_retries=0, max_retries=0, **dict(dict(GREEDY, **MORE), **fields))


def litellm_stream(server, plain):
    parts = list(ask_litellm(server, stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts) == text_of(plain)
    assert parts[-1].choices[0].finish_reason == "length"


def litellm_not(server, plain):
    answer = ask_litellm(server)
    assert answer.choices[0].message.content == text_of(plain) and answer.usage.completion_tokens == 12


def litellm_logprobs(server, plain):
    tokens = ask_litellm(server, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert [t.logprob for t in tokens] == [t["logprob"] for t in plain(logprobs=True, top_logprobs=2)["logprobs"]["content"]]
    assert all(len(t.top_logprobs) == 2 for t in tokens)


def litellm_stop(server, plain):
    stop, before = is_stop(plain)
    answer = ask_litellm(server, stop=[stop]).choices[0]
    assert (answer.message.content, answer.finish_reason) == (before, "stop")


def litellm_n(server, plain):
    texts = [c.message.content for c in ask_litellm(server, n=3, temperature=1.1, seed=5).choices]
    assert len(set(texts)) == 3 and texts[0] == text_of(plain, temperature=1.1, seed=5)


def litellm_error(server, plain):
    with pytest.raises(litellm.BadRequestError) as e:
        ask_litellm(server, max_tokens=1 << 15)
    assert e.value.status_code == 400 and str(1 << 15) in str(e.value)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model="openai/gpt-4", api_base=f"http://127.0.0.1:{server.port}/v1", api_key="none", messages=MESSAGES,
                           max_retries=0)


def litellm_disconnect(server, plain):
    stream = ask_litellm(server, stream=True, max_tokens=30000)
    next(iter(stream))
    stream.completion_stream.close()


# ---- LangChain ----

def a_langchain(server, **fields):
    return langchain_openai.ChatOpenAI(model="tiny", base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0,
                                       **dict(dict(GREEDY, **MORE), **fields))


def langchain_stream(server, plain):
    parts = list(a_langchain(server).stream("the inn"))
    assert "".join(p.content for p in parts) == text_of(plain)
    assert [p.response_metadata["finish_reason"] for p in parts if "finish_reason" in p.response_metadata] == ["length"]


def langchain_not(server, plain):
    answer = a_langchain(server).invoke("the inn")
    assert answer.content == text_of(plain) and answer.usage_metadata["output_tokens"] == 12


def langchain_logprobs(server, plain):
    answer = a_langchain(server, logprobs=True, top_logprobs=2).invoke("the inn")
    assert [t["logprob"] for t in answer.response_metadata["logprobs"]["content"]] == \
        [t["logprob"] for t in plain(logprobs=True, top_logprobs=2)["logprobs"]["content"]]


def langchain_stop(server, plain):
    stop, before = is_stop(plain)
    answer = a_langchain(server).invoke("the inn", stop=[stop])
    assert (answer.content, answer.response_metadata["finish_reason"]) == (before, "stop")


def langchain_n(server, plain):
    (answers,) = a_langchain(server, n=3, temperature=1.1, seed=5).generate([[HumanMessage("the inn")]]).generations
    texts = [a.text for a in answers]
    assert len(set(texts)) == 3 and texts[0] == text_of(plain, temperature=1.1, seed=5)


def langchain_error(server, plain):
    with pytest.raises(openai.BadRequestError) as e:
        a_langchain(server, max_tokens=1 << 15).invoke("the inn")
    assert e.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError):
        list(a_langchain(server, top_p=2).stream("the inn"))


def langchain_disconnect(server, plain):
    stream = a_langchain(server, max_tokens=30000).stream("the inn")
    next(stream)
    stream.close()


# ---- embeddings ----

def shortened(v, n):
    """As OpenAI's guide shortens an embedding by hand: cut, then divided by its Euclidean length."""
    size = math.sqrt(math.fsum(x * x for x in v[:n]))
    return [x / size for x in v[:n]]


def test_dimensions(server):
    c = an_openai(server)
    whole = [d.embedding for d in c.embeddings.create(model="tiny", input=["the inn", "in the"]).data]
    for n in (1, 24, 64):
        for form in ({}, {"encoding_format": "float"}):  # the client's own choice is base64
            got = c.embeddings.create(model="tiny", input=["the inn", "in the"], dimensions=n, **form).data
            assert [d.embedding for d in got] == [pytest.approx(shortened(v, n), abs=1e-5) for v in whole]
    with pytest.raises(openai.BadRequestError) as e:
        c.embeddings.create(model="tiny", input="the inn", dimensions=65)
    assert e.value.param == "dimensions" and "65" in e.value.message and "64" in e.value.message
    e = langchain_openai.OpenAIEmbeddings(model="tiny", base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", dimensions=24,
                                          check_embedding_ctx_length=False)
    assert e.embed_query("the inn") == pytest.approx(shortened(whole[0], 24), abs=1e-5)


# ---- the table ----

@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", CLIENTS)
def test_cell(server, plain, client, case):
    before = aborted(server)
    globals()[f"{client}_{case}"](server, plain)
    if case == "disconnect":
        wait_for_abort(server, before)
