"""/openapi.json describes exactly what is served: schemathesis against the running server, legal and illegal requests, every route."""
import json, os, re, subprocess, sys
from pathlib import Path

import pytest

from serving import Server

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def server(home, tmp_path_factory):
    import tiny_model
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(str(model), n_ctx=8192)
    s = Server(home, model)
    yield s
    assert s.stop() == (0, "")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return tmp_path_factory.mktemp("seen") / "fields"


def counts(s):
    """{(method and path, status): how many}"""
    text = s.ask("GET", "/metrics")[2].decode()
    return {(e, st): float(n) for e, st, n in re.findall(r'lathe_http_requests_total{endpoint="([^"]*)",status="(\w+)"} (\S+)', text)}


@pytest.mark.parametrize("phases,examples", [("examples,coverage,stateful", 20), ("fuzzing", int(os.environ.get("LATHE_SCHEMATHESIS", 100)))])
def test_schemathesis(server, seen, tmp_path, phases, examples):
    r = subprocess.run([sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
                        f"http://127.0.0.1:{server.port}/openapi.json", "--mode", "all", "--checks", "all", "--phases", phases,
                        "--max-examples", str(examples), "--request-timeout", "60", "--seed", "7", "--no-color"],
                       cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       env=dict(os.environ, SCHEMATHESIS_HOOKS="schemathesis_hooks", PYTHONPATH=str(HERE), LATHE_FIELDS_SEEN=str(seen)))
    assert r.returncode == 0, r.stdout[-6000:]
    assert re.search(r"[1-9]\d* generated", r.stdout), r.stdout[-2000:]


def test_every_route_was_asked(server):
    """What it described was asked for, and what it forbade was refused."""
    doc = json.loads(server.ask("GET", "/openapi.json")[2])
    seen = counts(server)
    for path, operations in doc["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            missing = "{" in path or path == "/v1/rerank"  # no such request; no model that ranks
            assert seen.get((name, "404" if missing else "200"), 0) > 0, name
            assert "requestBody" not in operation or seen.get((name, "400"), 0) > 0, name
    described = {(f"{m.upper()} {p}", s) for p, o in doc["paths"].items() for m in o for s in o[m]["responses"]}
    assert {k for k in seen if k[0] != "other" and k[1] != "405"} <= described


def test_every_field_of_embeddings_was_asked(server, seen):
    """In a request that was answered, and in one that was refused."""
    lines = set(seen.read_text().splitlines())
    fields = json.loads(server.ask("GET", "/openapi.json")[2])["components"]["schemas"]["EmbeddingsRequest"]["properties"]
    assert "dimensions" in fields
    for name in fields:
        assert {f"POST /v1/embeddings {name} 200", f"POST /v1/embeddings {name} 400"} <= lines, name
