"""Encoders behind the API: /v1/embeddings, /v1/rerank, and what they refuse."""
import base64, json, math, struct

import pytest

import encoder_folder
from serving import running


@pytest.fixture(scope="module")
def encoder(home, tmp_path_factory):
    with running(home, encoder_folder.write(tmp_path_factory.mktemp("enc") / "tiny")) as s:
        yield s


@pytest.fixture(scope="module")
def cross_folder(tmp_path_factory):
    return encoder_folder.write(tmp_path_factory.mktemp("enc") / "cross", n_class=1)


@pytest.fixture(scope="module")
def cross(home, cross_folder):
    with running(home, cross_folder) as s:
        yield s


DOCUMENTS = ["a dog ran", "the red house", "the cat sat on the mat", "one, two, three"]


def rank(s, **body):
    status, answer = s.post("/v1/rerank", **{"query": "the cat", "documents": DOCUMENTS, **body})
    assert status == 200, answer
    return answer


def refused(s, path, body, param, words, code=None):
    status, answer = s.post(path, **body)
    error = answer["error"]
    assert (status, error["param"]) == (404 if code == "unsupported_model" else 400, param) and words in error["message"], error
    assert code is None or error["code"] == code, error


def test_embeddings_are_those_of_the_command(run, encoder, tmp_path):
    folder = encoder_folder.write(tmp_path / "tiny")
    want = [json.loads(x) for x in run("embed", "-m", folder, "--json", stdin="\n".join(DOCUMENTS).encode()).stdout.splitlines()]
    status, got = encoder.post("/v1/embeddings", input=DOCUMENTS, model="tiny")
    assert status == 200 and [d["index"] for d in got["data"]] == [0, 1, 2, 3]
    for a, b in zip(got["data"], want):
        assert a["embedding"] == pytest.approx(b, abs=1e-6)
    assert got["usage"] == {"prompt_tokens": 5 + 5 + 8 + 7, "total_tokens": 25}
    packed = encoder.post("/v1/embeddings", input=DOCUMENTS[1], encoding_format="base64", dimensions=32)[1]["data"][0]["embedding"]
    assert list(struct.unpack("<32f", base64.b64decode(packed))) == pytest.approx(want[1], abs=1e-6)
    short = encoder.post("/v1/embeddings", input=DOCUMENTS[1], dimensions=8)[1]["data"][0]["embedding"]
    size = math.sqrt(math.fsum(x * x for x in want[1][:8]))
    assert short == pytest.approx([x / size for x in want[1][:8]], abs=1e-6)
    refused(encoder, "/v1/embeddings", {"input": "a", "dimensions": 33}, "dimensions", "33, an embedding of this model has 32")
    ids = encoder.post("/tokenize", content=DOCUMENTS[1])[1]["tokens"]
    assert encoder.post("/v1/embeddings", input=ids)[1]["data"][0]["embedding"] == got["data"][1]["embedding"]


def test_many_inputs_in_one_request(encoder):
    texts = ["the cat " + "a dog " * (i % 20) for i in range(300)]
    got = encoder.post("/v1/embeddings", input=texts)[1]["data"]
    assert [d["index"] for d in got] == list(range(300))
    assert got[7]["embedding"] == got[27]["embedding"] == encoder.post("/v1/embeddings", input=texts[7])[1]["data"][0]["embedding"]
    assert len(encoder.post("/v1/embeddings", input="")[1]["data"]) == 1  # its two special tokens


def test_long_texts_are_refused_or_cut(encoder):
    long = "the " * 63
    refused(encoder, "/v1/embeddings", {"input": ["a", long]}, "input", "65 tokens", "context_length_exceeded")
    cut = encoder.post("/v1/embeddings", input=["a", long], truncate=True)[1]["data"]
    assert cut[1]["embedding"] == encoder.post("/v1/embeddings", input="the " * 62)[1]["data"][0]["embedding"]
    assert len(encoder.post("/v1/embeddings", input=[5] * 70, truncate=True)[1]["data"]) == 1


def test_an_encoder_generates_nothing(encoder, cross):
    message = [{"role": "user", "content": "x"}]
    for path, body in (("/v1/chat/completions", {"messages": message}), ("/v1/completions", {"prompt": "x"})):
        refused(encoder, path, body, None, "tiny is an encoder (bert) and generates nothing: ask /v1/embeddings", "unsupported_model")
        refused(cross, path, body, None, "ask /v1/rerank", "unsupported_model")
    refused(encoder, "/v1/rerank", {"query": "a", "documents": ["b"]}, None, "0 classes", "unsupported_model")
    refused(cross, "/v1/embeddings", {"input": "a"}, None, "ask /v1/rerank", "unsupported_model")


def test_documents_are_ranked(run, cross, cross_folder):
    lines = "".join(f"the cat\t{d}\n" for d in DOCUMENTS).encode()
    logits = [float(x) for x in run("embed", "-m", cross_folder, stdin=lines).stdout.split()]
    order = sorted(range(4), key=lambda i: -logits[i])
    got = rank(cross)
    assert [r["index"] for r in got["results"]] == order and got["object"] == "list" and got["model"] == "cross"
    assert [r["relevance_score"] for r in got["results"]] == pytest.approx([1 / (1 + math.exp(-logits[i])) for i in order], abs=1e-6)
    raw = rank(cross, raw_scores=True, top_n=2, return_documents=True)["results"]
    assert [(r["index"], r["document"]["text"]) for r in raw] == [(i, DOCUMENTS[i]) for i in order[:2]]
    assert [r["relevance_score"] for r in raw] == pytest.approx([logits[i] for i in order[:2]], abs=1e-6)
    assert rank(cross, documents=[{"text": d} for d in DOCUMENTS])["results"] == got["results"]
    assert got["usage"]["prompt_tokens"] == got["usage"]["total_tokens"] == sum([4 + 4, 4 + 4, 4 + 7, 4 + 6])
    same = rank(cross, documents=["a dog"] * 5)["results"]
    assert [r["index"] for r in same] == [0, 1, 2, 3, 4]


def test_rankings_that_are_wrong(cross):
    def wrong(param, words, code=None, **body):
        refused(cross, "/v1/rerank", {"query": "the cat", "documents": DOCUMENTS, **body}, param, words, code)
    wrong("query", "missing", query=None)
    wrong("query", "must be a string", query=3)
    wrong("documents", "at least one", documents=None)
    wrong("documents", "at least one", documents=[])
    wrong("documents", "documents[1]", documents=["a", 7])
    wrong("documents", "documents[0]", documents=[{"title": "a"}])
    wrong("documents", "more than 1024", documents=["a"] * 1025)
    wrong("documents", "72", "context_length_exceeded", documents=["a " * 80])
    wrong("top_n", "whole number", top_n=0)
    assert len(rank(cross, documents=["a " * 80], truncate=True)["results"]) == 1


def test_it_is_described(cross):
    api = json.loads(cross.ask("GET", "/openapi.json")[2])
    body = api["components"]["schemas"]["RerankRequest"]
    assert {"query", "documents", "top_n", "return_documents", "raw_scores", "truncate", "model"} <= set(body["properties"])
    assert "/v1/rerank" in api["paths"] and "Reranked" in api["components"]["schemas"]
