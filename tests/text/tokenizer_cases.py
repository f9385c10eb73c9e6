"""Small tokenizers of every kind for tokenizer_oracle.py and, with the answers of `tokenizers`, for test_tokenizer_json.c
(tests/data/tokenizer_cases.jsonl): a row has one or a few kinds of steps, so that each is wrong in some row when it is wrong at all."""
import json

TEXTS = ["", " ", "a", "Hello world", " Hello  World ", "hello, world! don't", "the cat sat on the mat", "The Café naïve Ångström ﬁne straße İ", "e\u0301a\u0308\u0323q\u0323\u0307",
         "你好 world 漢字", "日本語ひらがなカタカナｶﾞ", "Привет мир", "안녕 각 가\u11a8", "안녕하세요", "🙂 👍🏽 🇩🇪 ❤️", "123 4567 ½² Ⅷ ٣", "foo(bar); a[i]+=1;\n\tx==y?\n\n  z", "a\u00a0b\u3000c\u200bd\ufeffe\u00ade",
         "<s>hello</s>", "hello <mask> world", "x<mask>y <mask>", "[MASK] [CLS] a[SEP]", "helloADDhello ADD HELLO add", "a  b   c\n\n\nd\r\ne", "▁a▁▁b ▁", "low lower lowest newest widest", "\u0001\u0007a\u0000b\u009f\ufffd",
         "tab\tand\x0bvt\x0cff\x85nel", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Ⓐⓑ ① ﷺ ㎏ Å Ω", "snake_case camelCase x-y 'quoted' \"it's\" do not I'm", "##a # b", "中文,标点。「」！", "हिन्दी नमस्ते ไทย"]

CORPUS = ["the cat sat on the mat and the dog sat on the log", "Hello world hello World don't do not it's I'm we've", "low lower lowest new newer newest wide widest", "naïve café résumé straße Ångström",
          "Привет мир мир привет", "你好 世界 漢字 日本語 ひらがな", "안녕 하세요", "foo(bar) a[i] x==y 123 4567 890 12", "a  b   c", "🙂 👍", "हिन्दी नमस्ते"] * 4

# SentencePiece's trainer made it of rules: A to a, U+00DF to ss, U+3000 to a space, U+200B to nothing, e U+0301 to e, U+FB01 to fi, U+212B to U+00C5 and that
# to a, the flag of U+1F1E9 U+1F1EA to D, a U+0308 to U+00E4
CHARSMAP = (
    "AAQAAAAAAQBBDQAABQAAgMw8AgCIBQAAEgAAgMwAAgCBPQAABwAAgAwAAICFIQAAgDACAIsFAAAAAACAq30AAISoAgCfZQAADwAAgIAEAgCAHQAAAQAAgKwIAgCBBQAACQ"
    "AAgIegAgCpyAMAnxQCAPBgAgCfGAIAh6QCAKoFAAADAACAIQAAAGG4AwAjAAAAIgAAACUAAABlvAMAJwAAACYAAAApAAAAKAAAACsAAAAqAAAALQAAACwAAAAvAAAALgAA"
    "ADEAAAAwAAAAMwAAADIAAAA1AAAANAAAADcAAAA2AAAAOQAAADgAAAA7AAAAOgAAAD0AAAA8AAAAPwAAAD4AAABBAAAAQAAAAEMAAABCAAAARQAAAEQAAABHAAAARgAAAE"
    "kAAABIAAAASwAAAEoAAABNAAAATAAAAE8AAABOAAAAUQAAAFAAAABTAAAAUgAAAFUAAABUAAAAVwAAAFYAAABZAAAAWAAAAFsAAABaAAAAXQAAAFwAAABfAAAAXgAAAGEA"
    "AABgAAAAYwAAAGIAAABlAAAAZAAAAGcAAABmAAAAaQAAAGgAAABrAAAAagAAAG0AAABsAAAAbwAAAG4AAABxAAAAcAAAAHMAAAByAAAAdQAAAHQAAAB3AAAAdgAAAHkAAA"
    "B4AAAAewAAAHoAAAB9AAAAfAAAAH8AAAB+AAAAgQAAAIAAAACDAAAAwzAAAIUAAACEAAAAhwAAAIYAAACJAAAAiAAAAIsAAACKAAAAjQAAAIwAAACPAAAAjgAAAJEAAACQ"
    "AAAAkwAAAJIAAACVAAAAlAAAAJcAAACWAAAAmQAAAJgAAACbAAAAmgAAAJ0AAACcAAAAnwAAAJ4AAAChAAAAoAAAAOKkAADjxAAApQAAAKQAAACnAAAApgAAAKkAAACoAA"
    "AAqwAAAKoAAACtAAAArAAAAK8AAADvWAAA8NQAALAAAACzAAAAsgAAALUAAAC0AAAAtwAAALYAAAC5AAAAuAAAALsAAAC6AAAAvQAAALwAAAC/AAAAvgAAAMEAAADAAAAA"
    "wwAAAMIAAADFAAAAxAAAAMcAAADGAAAAyQAAAMgAAADLAAAAygAAAM0AAADMAAAAzwAAAM4AAADRAAAA0AAAANMAAADSAAAA1QAAANQAAADXAAAA1gAAANkAAADYAAAA2w"
    "AAANoAAADdAAAA3AAAAN8AAADeAAAA4QAAAOAAAADjAAAA4gAAAOUAAADkAAAA5wAAAOYAAADpAAAA6AAAAOsAAADqAAAA7QAAAOwAAADvAAAA7gAAAPEAAADwAAAA8wAA"
    "APIAAAD1AAAA9AAAAPcAAAD2AAAA+QAAAPgAAAD7AAAA+gAAAP0AAAD8AAAA/wAAAP4AAAAAIABEAGEAZQBmaQBzcwDDhQDDpAA=")


def tokenizers():
    from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, processors as X, trainers as T

    def specials(*names):
        return list(names)

    def bpe(size=300, special=("<unk>", "<s>", "</s>"), model=None, alphabet=None, **kw):
        t = Tokenizer(M.BPE(unk_token="<unk>" if "<unk>" in special else None, **(model or {})))
        return t, T.BpeTrainer(vocab_size=size, special_tokens=specials(*special), show_progress=False, initial_alphabet=alphabet or [], **kw)

    def train(t, trainer):
        t.train_from_iterator(CORPUS, trainer)
        return t

    def edit(t, change):
        j = json.loads(t.to_str())
        change(j)
        return Tokenizer.from_str(json.dumps(j, ensure_ascii=False))

    def byte_level(pre, norm=None, size=330, **kw):
        t, tr = bpe(size, ("<s>", "</s>"), alphabet=P.ByteLevel.alphabet(), **kw)
        t.pre_tokenizer = pre
        if norm:
            t.normalizer = norm
        t.decoder = D.ByteLevel()
        return train(t, tr)

    def words(pre, norm=None, kind="wordlevel", size=150):
        t = Tokenizer(M.WordLevel(unk_token="<unk>"))
        if norm:
            t.normalizer = norm
        t.pre_tokenizer = pre
        t.train_from_iterator(CORPUS + [s.replace("\0", "") for s in TEXTS], T.WordLevelTrainer(vocab_size=100000, special_tokens=["<unk>"], show_progress=False))
        return t

    def unigram(size=200, pre=None, norm=None, **kw):
        t = Tokenizer(M.Unigram())
        if norm:
            t.normalizer = norm
        t.pre_tokenizer = pre or P.Metaspace()
        t.decoder = D.Metaspace()
        t.train_from_iterator(CORPUS, T.UnigramTrainer(vocab_size=size, unk_token="<unk>", special_tokens=["<unk>", "<s>", "</s>"], show_progress=False, **kw))
        return t

    def wordpiece(size=200, norm=None, **kw):
        t = Tokenizer(M.WordPiece(unk_token="[UNK]", **kw))
        t.normalizer = norm or N.BertNormalizer()
        t.pre_tokenizer = P.BertPreTokenizer()
        t.decoder = D.WordPiece()
        return train(t, T.WordPieceTrainer(vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))

    def characters(norm):
        """What a normalizer makes of a text, character by character."""
        chars = sorted(({c for s in TEXTS + CORPUS for f in ("NFC", "NFD", "NFKC", "NFKD") for x in (s, s.lower()) for c in __import__("unicodedata").normalize(f, x)} | {"▁", "x", " "}) - {"\0"})
        t = Tokenizer(M.BPE(vocab={c: i for i, c in enumerate(["<unk>"] + chars)}, merges=[], unk_token="<unk>"))
        t.normalizer = norm
        return t

    yield "byte_level", byte_level(P.ByteLevel(add_prefix_space=False))
    yield "byte_level_prefix", byte_level(P.ByteLevel(add_prefix_space=True), N.NFC())
    yield "byte_level_no_regex", byte_level(P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False, use_regex=False)]))
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    yield "llama3", edit(byte_level(P.Sequence([P.Split(Regex(llama3), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]), size=400), lambda j: j["model"].update(ignore_merges=True))
    gpt4 = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    yield "gpt4", byte_level(P.Sequence([P.Split(Regex(gpt4), "removed", invert=True), P.ByteLevel(add_prefix_space=False, use_regex=False)]))
    yield "deepseek", byte_level(P.Sequence([P.Split(Regex("[\r\n]"), "isolated"), P.Split(Regex(r"\s?\p{L}+"), "isolated"), P.Split(Regex(r"\s+$"), "isolated"), P.Digits(True), P.ByteLevel(False, use_regex=False)]))
    t = byte_level(P.ByteLevel(add_prefix_space=False, use_regex=False))
    t.normalizer, t.pre_tokenizer = N.ByteLevel(), P.Whitespace()
    yield "byte_level_normalizer", t
    t = byte_level(P.ByteLevel(add_prefix_space=True))
    t.post_processor = X.RobertaProcessing(("</s>", 1), ("<s>", 0))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("[MASK]", rstrip=True)])
    t.add_tokens([AddedToken("ADD", single_word=True), AddedToken("world", normalized=True), AddedToken(" HELLO", normalized=True)])
    yield "roberta", t
    t = byte_level(P.ByteLevel(add_prefix_space=True), N.Lowercase())
    t.add_tokens([AddedToken("World", normalized=True), AddedToken("CAFÉ", normalized=False), AddedToken("Lower", normalized=True, single_word=True, lstrip=True, rstrip=True), AddedToken("low", normalized=True)])
    yield "added_normalized", t

    t, tr = bpe()
    t.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    t.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    t = train(t, tr)
    yield "llama2_no_bytes", t

    def llama2(j):
        v = j["model"]["vocab"]
        for b in range(256):
            v[f"<0x{b:02X}>"] = len(v)
        j["model"].update(byte_fallback=True, fuse_unk=True)
        j["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    yield "llama2", edit(t, llama2)

    def metaspace(scheme, split):
        def change(j):
            llama2(j)
            j["normalizer"] = None
            j["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
        return change
    yield "mistral", edit(t, metaspace("first", False))
    yield "metaspace_never", edit(t, metaspace("never", True))
    yield "metaspace_old", edit(t, lambda j: (llama2(j), j.update(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, decoder={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True})))

    def gemma(j):
        llama2(j)
        j.update(normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
                 decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]})
    yield "gemma", edit(t, gemma)

    def few_bytes(j):
        llama2(j)
        for b in range(0x80, 0xc4):
            del j["model"]["vocab"][f"<0x{b:02X}>"]
        ids = {k: i for i, k in enumerate(sorted(j["model"]["vocab"], key=j["model"]["vocab"].get))}
        j["model"]["vocab"] = ids
    yield "few_bytes", edit(t, few_bytes)
    yield "few_bytes_unfused", edit(t, lambda j: (few_bytes(j), j["model"].update(fuse_unk=False)))
    yield "unk_fused", edit(t, lambda j: j["model"].update(fuse_unk=True))

    t, tr = bpe(200, end_of_word_suffix="</w>", model={"end_of_word_suffix": "</w>"})
    t.pre_tokenizer, t.normalizer, t.decoder = P.BertPreTokenizer(), N.BertNormalizer(), D.BPEDecoder()
    yield "gpt1", train(t, tr)
    clip = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    t, tr = bpe(560, ("<s>", "</s>"), end_of_word_suffix="</w>", model={"end_of_word_suffix": "</w>"}, alphabet=P.ByteLevel.alphabet())
    t.normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    t.pre_tokenizer, t.decoder = P.Sequence([P.Split(Regex(clip), "removed", invert=True), P.ByteLevel(add_prefix_space=False)]), D.ByteLevel()
    yield "clip", train(t, tr)
    t, tr = bpe(200, continuing_subword_prefix="##", model={"continuing_subword_prefix": "##"})
    t.pre_tokenizer, t.decoder = P.Whitespace(), D.WordPiece(cleanup=False)
    yield "bpe_prefix", train(t, tr)
    t, tr = bpe(200, ("<s>",))
    t.pre_tokenizer = P.WhitespaceSplit()
    yield "no_unk_no_decoder", train(t, tr)

    t = wordpiece()
    t.post_processor = X.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    yield "bert", t
    t = wordpiece(norm=N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False), max_input_chars_per_word=8)
    t.post_processor = X.TemplateProcessing(single="[CLS] $A [SEP] [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True, single_word=True)])
    yield "bert_cased", t
    yield "bert_accents", wordpiece(norm=N.BertNormalizer(strip_accents=True, lowercase=False))

    yield "unigram", unigram()
    yield "unigram_split", unigram(pre=P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="always")]), norm=N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]))
    t5 = unigram(norm=N.Sequence([N.Precompiled(__import__("base64").b64decode(CHARSMAP)), N.Strip(left=False, right=True), N.Replace(Regex(" {2,}"), "▁")]), pre=P.Metaspace(prepend_scheme="first"))
    t5.post_processor = X.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    yield "t5", t5

    albert = unigram(norm=N.Sequence([N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(), N.Precompiled(__import__("base64").b64decode(CHARSMAP))]))
    albert.post_processor = X.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    albert.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    yield "albert", albert

    def unigram_bytes(j):
        j["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        j["model"]["byte_fallback"] = True
        j["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]}
    yield "unigram_bytes", edit(unigram(), unigram_bytes)

    for name, norm in {"nfc": N.NFC(), "nfd": N.NFD(), "nfkc": N.NFKC(), "nfkd": N.NFKD(), "lowercase": N.Lowercase(), "accents": N.Sequence([N.NFD(), N.StripAccents()]), "strip": N.Strip(), "strip_left": N.Strip(right=False),
                       "nmt": N.Nmt(), "replace": N.Sequence([N.Replace(Regex(r"\s+"), "x"), N.Replace("l", ""), N.Prepend("▁")]), "precompiled": N.Precompiled(__import__("base64").b64decode(CHARSMAP)),
                       "bert_normalizer": N.BertNormalizer()}.items():
        yield "norm_" + name, characters(norm)

    for name, pre in {"whitespace": P.Whitespace(), "whitespace_split": P.WhitespaceSplit(), "bert": P.BertPreTokenizer(), "digits": P.Digits(), "digits_each": P.Digits(True), "delimiter": P.CharDelimiterSplit("t"),
                      "metaspace": P.Metaspace(prepend_scheme="first"), "metaspace_whole": P.Metaspace(split=False), "first_after_split": P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")])}.items():
        yield "pre_" + name, words(pre)
    for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        yield f"pre_punctuation_{b}", words(P.Punctuation(b))
        yield f"pre_split_{b}", words(P.Split("l", b))
        yield f"pre_regex_{b}", words(P.Split(Regex(r"[aeiou\s]|\d*"), b))
        yield f"pre_inverted_{b}", words(P.Split(Regex(r"\w+"), b, invert=True))
    for i, r in enumerate([r"\h+", r"\H+", r"\W+", r"[\w-]+", r"[^\S\n]+", r"^.", r".$", r"\bl", r"(?<=o)\s", r"\p{Han}+|[\p{Lu}\p{M}]", r"[[:punct:]]", r"\u0441|\x{43c}", r"l{,2}o", r"\A.|.\z", r"(?i)HEL", r"a{2}b?", r"\s+$|x", r" ?[^(\s|[.,!?…。，、।۔،])]+",
                           r"[\p{Han}]+|[\p{L}\p{M}&&[^\p{Han}]]+|[a-z&&[aeiou]]", r"[]a]+|[^]b]", r"[\p{^L}\P{N}]|\p{^Lu}+", r"[[:alpha:][:digit:]_]+", r"(?<!\w)\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))"]):
        yield f"regex_{i}", words(P.Split(Regex(r), "isolated"))
