"""lathe convert of a folder: its tokenizer.json becomes the keys of ggml, which make the same tokens, or stays and that is said."""
import json, os, re, sys
from pathlib import Path

import pytest

import gguf_file
import hf_folder
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/text"))
from tokenizer_cases import TEXTS  # noqa: E402

CASES = {c["name"]: c["tokenizer"] for c in (json.loads(line) for line in (ROOT / "tests/data/tokenizer_cases.jsonl").read_text().split("\n") if line)}
N_EMBD = 32
CANNOT, DIFFERS = "other programs cannot read the tokenizer", "other programs read a few texts as other tokens"
SHARED = Path(os.environ.get("LATHE_SHARED", ROOT / "../shared")) / "data/tokenizers"

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = {**BYTES, "use_regex": True}


def split(regex, **more):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False, **more}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def write(folder, tok, rows=None, cfg={}, **files):
    """A folder of a small model with this tokenizer; `rows` of its embedding, else as many as there are ids."""
    ids = list(tok["model"]["vocab"].values()) if isinstance(tok["model"]["vocab"], dict) else list(range(len(tok["model"]["vocab"])))
    rows = rows or max(ids + [a["id"] for a in tok["added_tokens"]]) + 1
    entries = hf_folder.tensors("BF16", n_embd=N_EMBD, n_layer=1)
    entries["model.embed_tokens.weight"] = ("BF16", [rows, N_EMBD], bytes(2 * rows * N_EMBD))
    config = {**hf_folder.config(n_embd=N_EMBD, n_layer=1), "vocab_size": rows, "bos_token_id": None, "eos_token_id": None, **cfg}
    folder = hf_folder.write(folder, entries=entries, cfg=config)
    (folder / "tokenizer.json").write_text(json.dumps(tok, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps(files.get("tokenizer_config", {})))
    (folder / "generation_config.json").write_text("{}")
    return folder


def convert(run, folder, out):
    r = run("convert", folder, out)
    assert r.returncode == 0 and r.stdout == b"", r.stderr.decode()
    assert r.stderr.count(b"\n") <= 1
    return gguf_file.read(out)[0], r.stderr.decode()


def ids(run, model, text, *args):
    r = run("tokenize", "-m", model, "--ids", *args, stdin=text.encode())
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout


def same_ids(run, folder, out, texts):
    for args in ([], ["--parse-special"], ["--parse-special", "--add-bos"]):
        for text in texts:
            assert ids(run, out, text, *args) == ids(run, folder, text, *args), (text, args)


def bytes_tokenizer(pre, change=None, **model):
    tok = json.loads(json.dumps(CASES["byte_level"]))
    tok["pre_tokenizer"] = pre
    tok["model"].update(model)
    if change:
        change(tok)
    return tok


# ---- byte-level BPE: the name of what cuts words

PRE = {
    "gpt-2": (GPT2, {}),
    "smollm": (sequence({"type": "Digits", "individual_digits": True}, GPT2), {}),
    "llama-bpe": (sequence(split(WORDS), BYTES), {"ignore_merges": True}),
    "smaug-bpe": (sequence(split(WORDS), BYTES), {}),
    "qwen2": (sequence(split(WORDS.replace(r"\p{N}{1,3}", r"\p{N}")), BYTES), {}),
    "qwen35": (sequence(split(WORDS.replace(r"\p{N}{1,3}", r"\p{N}").replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")), BYTES), {}),
    "gpt-4o": (sequence(split(CASED, behavior="Removed", invert=True), BYTES), {}),
    "tekken": (sequence(split(CASED.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")), BYTES), {"ignore_merges": True}),
    "deepseek-coder": (sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), {"type": "Digits", "individual_digits": True}, BYTES), {}),
    "deepseek-v3": (sequence(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""), BYTES), {}),
    "bailingmoe": (sequence(split(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"), BYTES), {}),
    "seed-coder": (sequence(split(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"), BYTES), {}),
}


@pytest.mark.parametrize("name", list(PRE))
def test_the_words_have_a_name(run, tmp_path, name):
    pre, model = PRE[name]
    folder = write(tmp_path / "m", bytes_tokenizer(pre, **model))
    meta, note = convert(run, folder, tmp_path / "o.gguf")
    assert note == "" and meta["tokenizer.ggml.model"] == "gpt2" and meta["tokenizer.ggml.pre"] == name
    assert "tokenizer.huggingface.json" not in meta
    same_ids(run, folder, tmp_path / "o.gguf", ["\n".join(TEXTS), " \r\n\t x"])


@pytest.mark.parametrize("spelling", [WORDS.replace(r"\r", "\r").replace(r"\n", "\n"),
                                      WORDS.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"),
                                      WORDS.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)")])
def test_another_spelling_of_the_same_words(run, tmp_path, spelling):
    assert spelling != WORDS
    meta, _ = convert(run, write(tmp_path / "m", bytes_tokenizer(sequence(split(spelling), BYTES))), tmp_path / "o.gguf")
    assert meta["tokenizer.ggml.pre"] == "smaug-bpe"


# ---- what ggml cannot say stays as it is, by name

def no_change(tok):
    pass


BAD = {
    "other words": (lambda t: t.update(pre_tokenizer=sequence(split(r"\w+|."), BYTES)), r"no name for the words that it cuts by '\w+|.'"),
    "ignore_merges": (lambda t: t["model"].update(ignore_merges=True), "are those of 'gpt-2', but ignore_merges is true"),
    "space in front": (lambda t: t.update(pre_tokenizer={**GPT2, "add_prefix_space": True}), "puts a space in front"),
    "normalizer": (lambda t: t.update(normalizer={"type": "Lowercase"}), "no normalizer Lowercase"),
    "decoder": (lambda t: t.update(decoder={"type": "Fuse"}), "no decoder Fuse"),
    "suffix": (lambda t: t["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
    "two in front": (lambda t: t.update(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                                                        "pair": [], "special_tokens": {"x": {"id": "x", "ids": [0, 1], "tokens": ["<s>", "</s>"]}}}), "more than one token in front of a text"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_has_no_form_stays_and_is_named(run, tmp_path, case):
    change, words = BAD[case]
    folder = write(tmp_path / "m", bytes_tokenizer(GPT2, change))
    meta, note = convert(run, folder, tmp_path / "o.gguf")
    assert note.startswith("lathe: note: " + CANNOT) and words in note
    assert "tokenizer.ggml.model" not in meta and "tokenizer.huggingface.json" in meta
    same_ids(run, folder, tmp_path / "o.gguf", ["\n".join(TEXTS)])


NEAR = {
    "NFC": (lambda t: t.update(normalizer={"type": "NFC"}), "it normalizes to NFC", "e\u0301a\u0308"),
    "lstrip": (lambda t: t["added_tokens"][0].update(lstrip=True), "'<s>' is found with lstrip", "a <s>"),
    "single_word": (lambda t: t["added_tokens"][0].update(single_word=True), "'<s>' is found with single_word", "a<s>b"),
}


@pytest.mark.parametrize("case", NEAR)
def test_what_other_programs_read_otherwise_is_named(run, tmp_path, case):
    """They have the keys of ggml; this one reads the tokenizer.json that is beside them."""
    change, words, text = NEAR[case]
    folder = write(tmp_path / "m", bytes_tokenizer(GPT2, change))
    meta, note = convert(run, folder, tmp_path / "o.gguf")
    assert note.startswith("lathe: note: " + DIFFERS) and words in note
    assert meta["tokenizer.ggml.model"] == "gpt2" and "tokenizer.huggingface.json" in meta
    same_ids(run, folder, tmp_path / "o.gguf", ["\n".join(TEXTS), text])


def test_small_tokenizers_of_every_kind(run, tmp_path):
    """Each is exact in the keys of ggml, or its tokenizer.json goes along and why is said."""
    seen = {"exact": [], CANNOT: [], DIFFERS: []}
    for name, tok in CASES.items():
        folder = write(tmp_path / name, tok)
        meta, note = convert(run, folder, tmp_path / "o.gguf")
        kind = next((k for k in (CANNOT, DIFFERS) if k in note), "exact")
        seen[kind].append(name)
        assert ("tokenizer.huggingface.json" in meta) == (kind != "exact") and ("tokenizer.ggml.model" in meta) == (kind != CANNOT), name
        same_ids(run, folder, tmp_path / "o.gguf", ["\n".join(TEXTS)])
    assert seen["exact"] == ["byte_level", "llama3", "bert"] and seen[DIFFERS] == ["unigram", "unigram_bytes"]


# ---- SentencePiece

def added(i, text, special=True):
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}


def merges_of(scores):
    """As transformers makes them of a SentencePiece model: every pair of tokens that makes a token, by its score."""
    out = []
    for token, score in scores.items():
        pairs = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in scores and token[i:] in scores]
        out += [(-score, *p) for p in pairs]
    return [[a, b] for _, a, b in sorted(out, key=lambda m: m[0])]


MARKS = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
SPM_DECODER = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
BOS = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
       "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}


def spm(change=None, words="▁the ▁cat ▁hello hello ▁on on ▁mat he ▁low low lower er est new ▁▁ ▁▁▁ ▁▁▁▁ na ï naïve ü \n\n"):
    """Of words and all their beginnings, shorter ones first."""
    made = []
    for w in words.split(" "):
        made += [w[:i] for i in range(1, len(w) + 1)] + list(w)
    made = list(dict.fromkeys(sorted(made, key=len)))
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + made
    scores = {t: -float(i) for i, t in enumerate(made)}
    tok = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
           "normalizer": {"type": "Sequence", "normalizers": [dict(m) for m in MARKS]}, "pre_tokenizer": None, "post_processor": BOS, "decoder": SPM_DECODER,
           "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                     "byte_fallback": True, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges_of(scores)}}
    if change:
        change(tok)
    return tok


def gemma(tok):
    n = len(tok["model"]["vocab"])
    tok.update(normalizer=MARKS[1], pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False})
    tok["added_tokens"] += [added(tok["model"]["vocab"]["▁▁"], "▁▁", False), added(n, "<mask>"), added(n + 2, "<tool>", False)]


SPM = {
    "llama": (no_change, {"tokenizer.ggml.add_space_prefix": True, "tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": 1}, ""),
    "gemma": (gemma, {"tokenizer.ggml.add_space_prefix": False}, ""),
    "never": (lambda t: t.update(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}),
              {"tokenizer.ggml.add_space_prefix": False}, ""),
    "first": (lambda t: t.update(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}),
              {"tokenizer.ggml.add_space_prefix": True}, "in front of the first word alone"),
    "no bos": (lambda t: t.update(post_processor=None), {"tokenizer.ggml.add_bos_token": False}, ""),
}


@pytest.mark.parametrize("case", SPM)
def test_sentencepiece(run, tmp_path, case):
    change, want, words = SPM[case]
    tok = spm(change)
    folder = write(tmp_path / "m", tok)
    meta, note = convert(run, folder, tmp_path / "o.gguf")
    assert words in note and (note == "") == (words == ""), note
    assert {k: meta[k] for k in want} == want and meta["tokenizer.ggml.model"] == "llama" and meta["tokenizer.ggml.unknown_token_id"] == 0
    assert meta["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6] and len(meta["tokenizer.ggml.scores"]) == len(meta["tokenizer.ggml.tokens"])
    if case == "gemma":
        n = len(tok["model"]["vocab"])
        assert meta["tokenizer.ggml.tokens"][n:] == ["<mask>", f"[PAD{n + 1}]", "<tool>"] and meta["tokenizer.ggml.token_type"][n:] == [3, 5, 4]
        assert meta["tokenizer.ggml.mask_token_id"] == n and meta["tokenizer.ggml.token_type"][tok["model"]["vocab"]["▁▁"]] == 1
    same_ids(run, folder, tmp_path / "o.gguf", ["\n".join(TEXTS), " the cat  on</s> lower hello", "\n\n", "<tool>the <mask> lowest", "▁the"])


SPM_BAD = {
    "pair": (lambda t: t["model"]["merges"].remove(["l", "ow"]), "its merges make 'low' of fewer pairs"),
    "apart": (lambda t: t["model"]["merges"].append(t["model"]["merges"].pop(next(i for i, m in enumerate(t["model"]["merges"]) if "".join(m) == "low"))), "merges of 'low' stand apart"),
    "bytes": (lambda t: t["model"].update(byte_fallback=False), "no token for some bytes"),
    "words": (lambda t: t.update(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}), "cuts words at spaces"),
    "lower case": (lambda t: t["normalizer"]["normalizers"].append({"type": "Lowercase"}), "no normalizer Lowercase"),
}


@pytest.mark.parametrize("case", SPM_BAD)
def test_what_sentencepiece_cannot_say(run, tmp_path, case):
    change, words = SPM_BAD[case]
    folder = write(tmp_path / "m", spm(change, "▁low low lower owl"))
    meta, note = convert(run, folder, tmp_path / "o.gguf")
    assert CANNOT in note and words in note, note
    assert "tokenizer.ggml.model" not in meta and "tokenizer.huggingface.json" in meta


# ---- published vocabularies: the way back from GGUF, and there again

def letters():
    """Cased letters as DeepSeek lists them."""
    source = re.search(r"#define DEEPSEEK_LETTERS(.*?)\n#define", (ROOT / "src/text/pretok.c").read_text(), re.S).group(1)
    return re.sub(r"\\\\x\{(\w+)\}", lambda m: chr(int(m.group(1), 16)), "".join(re.findall(r'"([^"]*)"', source)))


PUBLISHED = {
    "gpt-2": ("gpt-2", "gpt-2"), "mpt": ("gpt-2", "gpt-2"), "starcoder": ("smollm", "smollm"), "llama-bpe": ("llama-bpe", "llama-bpe"), "qwen2": ("qwen2", "qwen2"),
    "qwen35": ("qwen35", "qwen35"), "deepseek-llm": ("deepseek-llm", "deepseek-llm"), "llama-spm": (None, "default"), "phi-3": (None, "default"), "bert-bge": (None, "default")}
PRE["deepseek-llm"] = (sequence(split("[\r\n]"), split(rf"\s?[{letters()}]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), split(r"\s+$"), split("[一-龥ࠀ-一가-퟿]+"),
                                {"type": "Digits", "individual_digits": True}, BYTES), {})


def of_gguf(meta, pre):
    """The tokenizer.json that a vocabulary of ggml was made of, without what goes around a text."""
    tokens, types, model = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"], meta["tokenizer.ggml.model"]
    tok = spm() if model == "llama" else json.loads(json.dumps(CASES["bert" if model == "bert" else "byte_level"]))
    tok["added_tokens"] = [added(i, t, types[i] != 4) for i, t in enumerate(tokens) if types[i] in (2, 3, 4)]
    if model == "bert":
        tokens = [t[1:] if t[0] == "▁" else t if t[0] == "[" and t[-1] == "]" else "##" + t for t in tokens]
        tok["post_processor"] = {"type": "BertProcessing", "cls": ["[CLS]", 101], "sep": ["[SEP]", 102]}
    tok["model"]["vocab"] = {t: i for i, t in enumerate(tokens)}
    if model == "gpt2":
        tok["pre_tokenizer"], more = PRE[pre]
        tok["model"].update(more, merges=meta["tokenizer.ggml.merges"])
    if model == "llama":
        tok["post_processor"] = None
        tok["model"]["merges"] = merges_of({t: s for t, s, kind in zip(tokens, meta["tokenizer.ggml.scores"], types) if kind == 1})
    return tok


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(run, tmp_path, name):
    if not SHARED.is_dir():
        print("[  SKIPPED ] published")
        return
    pre, want = PUBLISHED[name]
    theirs, _ = gguf_file.read(SHARED / f"{name}.gguf")
    folder = write(tmp_path / "m", of_gguf(theirs, pre))
    meta, note = convert(run, folder, tmp_path / "o.gguf")
    assert note == "" and meta["tokenizer.ggml.pre"] == want and "tokenizer.huggingface.json" not in meta
    for key in ("model", "tokens", "merges"):
        assert meta.get("tokenizer.ggml." + key) == theirs.get("tokenizer.ggml." + key) or key == "merges" and want == "default", key
    types = [[min(t, 2) if t < 4 else t for t in m["tokenizer.ggml.token_type"]] for m in (meta, theirs)]
    assert types[0] == types[1]  # some converters call the unknown token control, or control tokens unknown
    inputs = (SHARED / f"{name}.gguf.inp").read_text().split("\n__ggml_vocab_test__\n")
    lines = (SHARED / f"{name}.gguf.out").read_text().split("\n")
    same_ids(run, folder, tmp_path / "o.gguf", ["\n".join(inputs + TEXTS)])
    long = max(range(len(inputs)), key=lambda i: len(inputs[i]))
    assert ids(run, tmp_path / "o.gguf", inputs[long]).split() == lines[long].encode().split()


# ---- names that other programs read something into

def phi3(tok):
    tok["added_tokens"] += [{**added(len(tok["model"]["vocab"]) + i, t), "rstrip": i > 0} for i, t in enumerate(("<|endoftext|>", "<|user|>", "<|end|>"))]
    tok["added_tokens"][2]["rstrip"] = True


@pytest.mark.parametrize("name,change,note,want", [
    ("Phi-3-mini", phi3, "", "Phi-3-mini"),
    ("my-model", phi3, "'</s>' is found with rstrip", "my-model"),
    ("Phi-3-mini", no_change, "", "Phi 3-mini"),
    ("tiny_phi3", no_change, "", "tiny_phi 3")])
def test_tokens_that_take_the_spaces_behind_them(run, tmp_path, name, change, note, want):
    """By the model's name, as others have it: a name that would say what is not so is written otherwise."""
    folder = write(tmp_path / name, spm(change))
    meta, said = convert(run, folder, tmp_path / "o.gguf")
    assert meta["general.name"] == want and note in said and (said == "") == (note == ""), said
    same_ids(run, folder, tmp_path / "o.gguf", ["the<|user|> \n cat<|end|>  on</s> \t<s> hello"])


# ---- what does not fit is an error

WRONG = {
    "negative": (lambda t: t["added_tokens"].append(added(-1, "<far>")), "token '<far>' has the id -1"),
    "no number": (lambda t: t["model"]["vocab"].update(x="5"), "token 'x' has the id -1"),
    "twice": (lambda t: t["added_tokens"].append(added(70, "<other>")), "'<other>' both have the id 70"),
    "merge": (lambda t: t["model"]["merges"].append(["q", "zzz"]), "needs the token 'zzz', which the model has not"),
    "whole": (lambda t: t["model"]["merges"].append("q q"), "needs the token 'qq', which the model has not"),
    "no pair": (lambda t: t["model"]["merges"].insert(0, ["q"]), "merge 0 is no pair of texts"),
    "no vocab": (lambda t: t["model"].pop("vocab"), "the model has no 'vocab'"),
    "no step": (lambda t: t.update(normalizer={"types": "NFC"}), "a step is no object with a 'type'"),
    "no text": (lambda t: t["added_tokens"].append({"id": 3}), "an added token has no content or no id"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_tokenizer_that_does_not_fit(run, tmp_path, case):
    change, words = WRONG[case]
    folder = write(tmp_path / "m", bytes_tokenizer(GPT2), rows=400)
    tok = bytes_tokenizer(GPT2, change)
    (folder / "tokenizer.json").write_text(json.dumps(tok))
    r = run("convert", folder, tmp_path / "o.gguf")
    err = r.stderr.decode()
    assert r.returncode == 3 and "tokenizer.json: " in err and words in err and err.count("\n") == 1, err
    assert not (tmp_path / "o.gguf").exists()


@pytest.mark.parametrize("text,words", [("[]", "no JSON object with a model"), ("{", "no JSON object with a model"), ('{"model": 1}', "no JSON object with a model")])
def test_no_tokenizer(run, tmp_path, text, words):
    folder = write(tmp_path / "m", bytes_tokenizer(GPT2))
    (folder / "tokenizer.json").write_text(text)
    r = run("convert", folder, tmp_path / "o.gguf")
    assert r.returncode == 3 and words in r.stderr.decode()


def test_rows_without_a_token(run, tmp_path):
    folder = write(tmp_path / "m", bytes_tokenizer(GPT2), rows=400)
    meta, _ = convert(run, folder, tmp_path / "o.gguf")
    n = len(CASES["byte_level"]["model"]["vocab"])
    assert meta["tokenizer.ggml.tokens"][n:] == [f"[PAD{i}]" for i in range(n, 400)] and set(meta["tokenizer.ggml.token_type"][n:]) == {5}
    r = run("run", "-m", tmp_path / "o.gguf", "--raw", "-p", "the", "-n", "3", "--temp", "0", "--no-cache")
    assert r.returncode == 0 and r.stdout == run("run", "-m", folder, "--raw", "-p", "the", "-n", "3", "--temp", "0", "--no-cache").stdout


def test_tokens_without_a_row(run, tmp_path):
    """As in Gemma 3, whose models that do not see have a token for images all the same."""
    def change(tok):
        tok["added_tokens"].append(added(500, "<far>"))
    folder = write(tmp_path / "m", bytes_tokenizer(GPT2, change), rows=400)
    meta, said = convert(run, folder, tmp_path / "o.gguf")
    assert "left out: '<far>' has the id 500, but the embedding has 400 rows" in said and said.count("\n") == 1
    assert len(meta["tokenizer.ggml.tokens"]) == 400 and "tokenizer.huggingface.json" not in meta
