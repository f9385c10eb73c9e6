"""The trained 260K-parameter model gives the text that its authors published for it."""
import os
from pathlib import Path

import pytest

from conftest import ROOT

SHARED = Path(os.environ.get("LATHE_SHARED", ROOT.parent / "shared")) / "data/models"


@pytest.mark.parametrize("exact", [[], ["--exact"]])
def test_greedy_text(run, exact):
    if not (SHARED / "stories260K.bin").exists():
        pytest.skip("stories260K: no shared test data")
    page = (SHARED / "stories260K.md").read_text()
    begin = page.index("Once upon a time, there")
    published = page[begin:page.index("```", begin)].rstrip("\n")
    r = run("run", "-m", SHARED / "stories260K.bin", "--raw", "-p", "Once upon a time", "-n", 250, "--temp", 0, *exact)
    text = "Once upon a time" + r.stdout.decode().rstrip("\n")
    assert r.returncode == 0 and len(text) > 400
    assert text.startswith(published) or published.startswith(text), (text, published)
