"""lathe quantize killed at 20 random points of each method, and resumed."""
import os, random

import pytest

import hf_folder
import tiny_model
from kills import FOLDERS, METHODS, TARGETS, Kills

N_POINT = 4 if os.environ.get("LATHE_CHECK_KIND") else 20  # a build for finding faults is ten times as slow
SEED = int(os.environ.get("LATHE_SEED", random.randrange(1 << 30)))


@pytest.mark.parametrize("method", METHODS)
def test_random_points(home, tmp_path, method):
    tiny_model.write(str(tmp_path / "m.gguf"), "F32", n_layer=16, n_embd=128, alike=1)
    (tmp_path / "calib.txt").write_text("the hello in you and the end of it, in the beginning was the word; " * 120)
    k = Kills(home, tmp_path, tmp_path / "m.gguf", tmp_path / "calib.txt", METHODS[method])
    assert k.at_random(N_POINT, SEED) or k.in_the_middle()  # where no point met a run that had finished anything


@pytest.mark.parametrize("target", TARGETS)
def test_random_points_of_targets(home, tmp_path, target):
    tiny_model.write(str(tmp_path / "m.gguf"), "F32", n_embd=128)
    (tmp_path / "calib.txt").write_text("the hello in you and the end of it, in the beginning was the word; " * 120)
    Kills(home, tmp_path, tmp_path / "m.gguf", tmp_path / "calib.txt", TARGETS[target]).at_random(N_POINT // 4, SEED)


@pytest.mark.parametrize("kind", FOLDERS)
def test_random_points_of_folders(home, tmp_path, kind):
    hf_folder.write(tmp_path / "in")
    (tmp_path / "calib.txt").write_text("the hello in you and the end of it, in the beginning was the word; " * 120)
    Kills(home, tmp_path, tmp_path / "in", tmp_path / "calib.txt", FOLDERS[kind]).at_random(N_POINT // 4, SEED)
