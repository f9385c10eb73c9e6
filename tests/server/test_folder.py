"""A Hugging Face folder behind the API: its name, and the answers of the same model in GGUF."""
import json

import pytest

import hf_folder
import tiny_model
from serving import Server


@pytest.mark.parametrize("end", ["", "/", "/model.safetensors"])
def test_folder_answers_as_gguf(home, tmp_path, end):
    folder = hf_folder.write(tmp_path / "Tiny-0.5B-v1.2", "BF16")
    tiny_model.write(str(tmp_path / "tiny.gguf"), "BF16")
    got = {}
    for model in (f"{folder}{end}", tmp_path / "tiny.gguf"):
        server = Server(home, model)
        try:
            name = json.loads(server.ask("GET", "/v1/models")[2])["data"][0]["id"]
            body = {"messages": [{"role": "user", "content": "hello the in"}], "max_tokens": 8, "temperature": 0}
            status, _, text = server.ask("POST", "/v1/chat/completions", body)
            assert status == 200
            got[name] = json.loads(text)["choices"]
        finally:
            server.stop()
    names = list(got)
    assert names == ["model" if "." in end else "Tiny-0.5B-v1.2", "tiny"]
    assert got[names[0]] == got[names[1]]
