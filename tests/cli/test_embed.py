"""lathe embed: a vector a line, in order, whatever the lines are; encoders as folders and as GGUF; what cannot be done is named."""
import json, math, os, random, subprocess, sys

import pytest

import encoder_folder

LINES = ["the cat sat on the mat", "a dog ran", "red, blue", "the house.", "one two three", "cats"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return encoder_folder.write(tmp_path_factory.mktemp("enc") / "tiny")


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return encoder_folder.write(tmp_path_factory.mktemp("enc") / "cross", n_class=1)


def embed(run, model, lines, *options, code=0):
    text = lines if isinstance(lines, bytes) else "".join(x + "\n" for x in lines).encode()
    r = run("embed", "-m", model, *options, stdin=text)
    assert r.returncode == code, r.stderr.decode()
    return [[float(x) for x in line.split(" ")] for line in r.stdout.decode().splitlines()], r.stderr.decode()


def refuse(run, model, lines, *options, code=1, words=(), n_before=0):
    got, err = embed(run, model, lines, *options, code=code)
    assert len(got) == n_before and err.startswith("lathe: ") and all(w in err for w in words), err


def test_a_vector_for_each_line_in_order(run, encoder):
    many = [random.Random(i).choice(LINES) + " the" * (i * 7 % 40) for i in range(1500)]
    got, _ = embed(run, encoder, many)
    assert len(got) == 1500 and all(len(v) == encoder_folder.N_EMBD for v in got)
    alone = {line: embed(run, encoder, [line])[0][0] for line in sorted(set(many))[:12]}
    assert all(got[i] == alone[line] for i, line in enumerate(many) if line in alone)
    assert all(abs(math.fsum(x * x for x in v) - 1) < 1e-5 for v in got)


def test_json_is_an_array_a_line_with_the_same_numbers(run, encoder):
    plain, _ = embed(run, encoder, LINES)
    r = run("embed", "-m", encoder, "--json", stdin="\n".join(LINES).encode())
    assert [json.loads(line) for line in r.stdout.splitlines()] == plain


def test_vectors_as_long_as_the_model_makes_them(run, encoder):
    raw, _ = embed(run, encoder, LINES, "--normalize", "off")
    for v, unit in zip(raw, embed(run, encoder, LINES)[0]):
        size = math.sqrt(math.fsum(x * x for x in v))
        assert abs(size - 1) > 1e-3 and max(abs(x / size - y) for x, y in zip(v, unit)) < 1e-6


def test_vectors_of_fewer_dimensions(run, encoder, cross, tiny):
    for model, whole in ((encoder, encoder_folder.N_EMBD), (tiny, 64)):
        full, raw = embed(run, model, LINES)[0], embed(run, model, LINES, "--normalize", "off")[0]
        for n in (1, 7, whole):
            sizes = [math.sqrt(math.fsum(x * x for x in v[:n])) for v in full]
            cut = embed(run, model, LINES, "--dimensions", str(n))[0]
            assert all(c == pytest.approx([x / s for x in v[:n]], abs=1e-6) for c, v, s in zip(cut, full, sizes)) and len(cut) == len(LINES)
            assert embed(run, model, LINES, "--dimensions", str(n), "--normalize", "off")[0] == [v[:n] for v in raw]
        assert embed(run, model, LINES, "--dimensions", "0")[0] == full
        refuse(run, model, b"", "--dimensions", str(whole + 1), code=2, words=(f"--dimensions {whole + 1}", f"has {whole}"))
    refuse(run, encoder, LINES, "--dimensions", "-1", code=2, words=("-1",))
    refuse(run, cross, LINES, "--dimensions", "1", code=2, words=("classes are never cut",))


def test_folder_and_gguf_give_the_same(run, encoder, cross, tmp_path):
    for model, lines in ((encoder, LINES), (cross, ["the cat\ta dog", "one"])):
        out = tmp_path / "m.gguf"
        out.unlink(missing_ok=True)
        assert run("convert", model, out).returncode == 0
        assert embed(run, out, lines)[0] == embed(run, model, lines)[0]


@pytest.mark.parametrize("isa", ["c", "avx2"])
def test_every_instruction_set_gives_the_same(run, encoder, isa):
    want = run("embed", "-m", encoder, stdin="\n".join(LINES).encode()).stdout
    r = run("embed", "-m", encoder, stdin="\n".join(LINES).encode(), env={"LATHE_CPU": isa})
    assert r.stdout == want or b"is no level" in r.stderr


def test_lines_that_are_odd(run, encoder):
    empty, nul, broken, crlf, last = (embed(run, encoder, x)[0] for x in (b"\n", b"the\0cat\n", b"the \xff\xfe cat\n", b"the cat\r\n", b"the cat"))
    assert len(empty) == len(nul) == len(broken) == len(crlf) == len(last) == 1
    assert crlf == last and embed(run, encoder, b"") == ([], "")
    assert broken == embed(run, encoder, "the \ufffd\ufffd cat\n".encode())[0] == last  # what this tokenizer cleans away
    assert nul == embed(run, encoder, b"thecat\n")[0] != last


def test_lines_that_are_too_long(run, encoder):
    long = "the " * 70
    refuse(run, encoder, ["a cat", long, "a dog"], words=("line 2 has 72 tokens", "64 are the most", "--truncate"), n_before=1)
    cut, _ = embed(run, encoder, ["a cat", long, "a dog"], "--truncate")
    assert len(cut) == 3 and cut[1] == embed(run, encoder, ["the " * 62])[0][0]
    assert cut[1] != embed(run, encoder, [long], "-c", "80")[0][0]
    refuse(run, encoder, ["a"], "-c", "81", code=2, words=("81", "80 positions"))
    refuse(run, encoder, b"x" * (17 << 20) + b"\n", words=("line 1 has more than 16 MiB",))


def test_pooling_of_the_folder_and_of_the_option(run, encoder, tmp_path):
    first = encoder_folder.write(tmp_path / "first", pooling="cls_token")
    assert embed(run, first, LINES)[0] == embed(run, encoder, LINES, "--pooling", "cls")[0] != embed(run, encoder, LINES)[0]
    last = encoder_folder.write(tmp_path / "last", pooling="lasttoken")
    assert embed(run, last, LINES)[0] == embed(run, first, LINES, "--pooling", "last")[0]
    assert embed(run, encoder_folder.write(tmp_path / "none", pooling=None), LINES)[0] == embed(run, encoder, LINES)[0]
    refuse(run, encoder, LINES, "--pooling", "classes", code=2, words=("no classes",))
    refuse(run, encoder_folder.write(tmp_path / "max", pooling="max_tokens"), LINES, code=3, words=("1_Pooling", "mean, first or last"))
    refuse(run, encoder_folder.write(tmp_path / "two", pooling="max_tokens+mean_tokens"), LINES, code=3, words=("1_Pooling",))
    refuse(run, encoder_folder.write(tmp_path / "dense", modules=("Transformer", "Pooling", "Dense")), LINES, code=3, words=("'Dense'", "modules.json"))


def test_pairs_of_a_cross_encoder(run, cross, encoder):
    pairs, _ = embed(run, cross, ["the cat\ta dog", "the cat a dog", "a dog\tthe cat", "the cat\t"])
    assert len(pairs) == 4 and all(len(v) == 1 for v in pairs) and len({v[0] for v in pairs}) == 4
    assert len(embed(run, cross, ["the cat\ta dog"], "--pooling", "mean")[0][0]) == encoder_folder.N_EMBD
    assert embed(run, encoder, ["the cat\ta dog"])[0] == embed(run, encoder, ["the cat a dog"])[0]
    long = embed(run, cross, ["the " * 50 + "\t" + "a " * 60], "--truncate")[0]  # 72 of the tokenizer: 69 for both, 34 and 35
    assert long == embed(run, cross, ["the " * 34 + "\t" + "a " * 35])[0]
    short = embed(run, cross, ["the cat\t" + "a " * 90], "--truncate")[0]
    assert short == embed(run, cross, ["the cat\t" + "a " * 67])[0]


def test_models_that_generate_embed_too(run, tiny):
    got, _ = embed(run, tiny, LINES)
    assert len(got) == len(LINES) and len(got[0]) == 64
    assert embed(run, tiny, LINES, "--pooling", "last")[0] == got != embed(run, tiny, LINES, "--pooling", "mean")[0]
    refuse(run, tiny, ["a", "", "b"], code=2, words=("line 2 has no tokens",), n_before=1)


@pytest.mark.parametrize("command", [("run", "-p", "the"), ("chat",), ("bench",), ("profile",), ("selftest",), ("perplexity", "-f", __file__)])
def test_an_encoder_generates_nothing(run, encoder, command):
    r = run(command[0], "-m", encoder, *command[1:])
    assert r.returncode == 2 and b"is an encoder (bert), which generates nothing: lathe embed" in r.stderr, r.stderr


def test_answers_come_while_the_input_is_open(home, encoder):
    program = os.environ.get("LATHE_PROGRAM", "build/lathe")
    env = dict({k: v for k, v in os.environ.items() if not k.startswith("LATHE_")}, HOME=str(home))
    p = subprocess.Popen([program, "embed", "-m", str(encoder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    for line in LINES:
        p.stdin.write(line.encode() + b"\n")
        p.stdin.flush()
        assert len(p.stdout.readline().split()) == encoder_folder.N_EMBD
    p.stdin.close()
    assert p.wait(60) == 0


def test_memory_does_not_grow_with_the_input(home, encoder):
    program = os.environ.get("LATHE_PROGRAM", "build/lathe")
    if os.environ.get("LATHE_CHECK_KIND"):
        pytest.skip("sanitizer: its own memory grows")
    script = (f"import resource, subprocess, sys; p = subprocess.Popen([{program!r}, 'embed', '-t', '1', '-m', {str(encoder)!r}], stdin=subprocess.PIPE, "
              "stdout=subprocess.DEVNULL)\nfor i in range(int(sys.argv[1])): p.stdin.write(b'the cat sat on the mat\\n' * 100)\n"
              "p.stdin.close(); p.wait(); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    peak = [int(subprocess.run([sys.executable, "-c", script, str(n)], capture_output=True, check=True,
                               env=dict(os.environ, HOME=str(home))).stdout) for n in (20, 400)]
    assert peak[1] < peak[0] + 2048, peak


def test_damage_is_named(run, encoder, tmp_path):
    cfg = encoder_folder.config(0)
    refuse(run, encoder_folder.write(tmp_path / "act", cfg=dict(cfg, hidden_act="relu")), LINES, code=3, words=("hidden_act",))
    refuse(run, encoder_folder.write(tmp_path / "rel", cfg=dict(cfg, position_embedding_type="relative_key")), LINES, code=3,
           words=("position_embedding_type",))
    refuse(run, encoder_folder.write(tmp_path / "heads", cfg=dict(cfg, num_attention_heads=5)), LINES, code=3, words=("5 heads",))
    refuse(run, encoder_folder.write(tmp_path / "positions", cfg=dict(cfg, max_position_embeddings=90)), LINES, code=3, words=("position_embd",))
    odd = encoder_folder.write(tmp_path / "modules")
    (odd / "modules.json").write_text("{}")
    refuse(run, odd, LINES, code=3, words=("modules.json",))
    (odd / "modules.json").unlink()
    (odd / "sentence_bert_config.json").write_text('{"max_seq_length": "many"}')
    refuse(run, odd, LINES, code=3, words=("max_seq_length",))
