"""lathe's tokenizers against PyPI's `tokenizers`: small ones of every kind, and every tokenizer.json that an installed package brings."""
import importlib.util, os, sys
from pathlib import Path

import pytest
import tokenizers

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/text"))
import tokenizer_cases, tokenizer_oracle

LIBRARY = Path(os.environ.get("LATHE_BUILD", ROOT / "build")) / "liblathe.so"


def shipped():
    spec = importlib.util.find_spec("litellm")
    return sorted(Path(spec.submodule_search_locations[0]).rglob("*tokenizer.json")) if spec else []


@pytest.fixture(scope="module")
def lathe():
    return tokenizer_oracle.Lathe(LIBRARY)


@pytest.mark.parametrize("path", shipped(), ids=lambda p: p.name)
def test_shipped(lathe, path):
    tok = tokenizers.Tokenizer.from_file(str(path))
    tok.no_truncation()
    tok.no_padding()
    assert tokenizer_oracle.compare(lathe, str(path), tok, 10000, False) == 0


def test_small(lathe, tmp_path):
    n = 0
    for name, tok in tokenizer_cases.tokenizers():
        path = tmp_path / (name + ".json")
        tok.save(str(path))
        assert tokenizer_oracle.compare(lathe, str(path), tok, 500, False) == 0, name
        n += 1
    assert n > 80
