#!/usr/bin/env python3
"""Compares lathe's tokenizers with PyPI's `tokenizers`: ids with and without added tokens, and the text that comes back.

  tokenizer_oracle.py --lib build/liblathe.so [--lines 10000] [--verbose] tokenizer.json ...
  tokenizer_oracle.py --emit tests/data/tokenizer_cases.jsonl    # small tokenizers of every kind with their answers

Lines are of mixed scripts, emoji, code and bytes that are no UTF-8, made from a seed. Without files it checks the small tokenizers of
tokenizer_cases.py. The answer to bytes that are no UTF-8 is this project's own: byte by byte U+FFFD, or the byte itself where the
tokenizer can say it; the latter is checked by the way back.
"""
import argparse, ctypes, json, os, random, sys, tempfile

WORDS = """the of and to in is that it was for on are with as his they be at one have this from or had by hot word but what some we can
out other were all there when up use your how said an each she don't I'm you're we'll it's HELLO World naïve café résumé Ångström ﬁne
straße ÄÖÜ İstanbul ǅ ΑΣ λόγος Привет мир нещо на Български שלום עולם مرحبا بالعالم हिन्दी नमस्ते ไทย ភាសាខ្មែរ 日本語 ひらがな カタカナ ｶﾀｶﾅ 中文 漢字 你好
한국어 안녕 Việt Ngữ e\u0301 a\u0308\u0323 q\u0307\u0323 ½ ² ③ Ⅷ ⅷ Ⓐ ￥ ① ٣٤ १२ ﷺ ㎏ ﬀ ℌ K Å \u200d \u200b \ufeff \u00ad \u2028 \u3000 \u00a0 \u1680 \u180e \u0085
123 4567890 3.14 1,000 0x1F 1e-9 +1 -2 snake_case camelCase __init__ #include std::vector<int> &amp; foo(bar); a[i]+=1; // x==y?
!? ... -- \u2014 “quoted” ‘x’ «y» ¿qué? ¡ay! 、。「」 ！？ 🙂 😶‍🌫️ 👍🏽 🇩🇪 🏳️‍🌈 ❤️ 👨‍👩‍👧 ✅ \u0301 \u0327 ▁ ▁▁ Ġ Ċ ## </s> <s> [MASK] [SEP] <unk> <|endoftext|> <mask>
\U0001d49c \U00010348 \U000e0041 \ue000 \U0010ff41 \u0378 \ufffd \u0000 \u0007 \u009f ௵ ༀ ྀི ؀ ꜀ᾳ ΐ ﾞ 각 ᄀ ᄀ\u1161 가\u11a8 \u0958 \u2126""".split(" ")
WORDS = [w for x in WORDS for w in x.split("\n") if w]
SPACES = [" "] * 12 + ["", "", "  ", "   ", "\n", "\n\n", "\t", " \n ", "\r\n", "\u00a0", "\u3000", "        "]


# Of Unicode 15 and later, which PCRE2's tables may not know yet.
NEW = dict.fromkeys([0xece, 0x2ffc, 0x2ffd, 0x2ffe, 0x2fff])


def lines(n, seed=1):
    return (s.translate(NEW) for s in mixed(n, random.Random(seed)))


def mixed(n, r):
    for i in range(n):
        kind = r.random()
        if kind < 0.1:  # any characters of a few blocks
            base = r.choice([0x20, 0xa0, 0x300, 0x370, 0x400, 0x590, 0x600, 0x900, 0xe00, 0x1100, 0x1e00, 0x2000, 0x2100, 0x2460, 0x3000, 0x4e00, 0xac00,
                             0xf900, 0xfb00, 0xff00, 0x1d400, 0x1f300, 0x1f900, 0x20000])
            yield "".join(chr(base + r.randrange(256)) for _ in range(r.randrange(1, 30)))
        else:
            some = [r.choice(WORDS) for _ in range(3)] if kind < 0.2 else WORDS
            yield "".join(r.choice(some) + r.choice(SPACES) for _ in range(r.randrange(1, 25)))


def broken(n, seed=2):
    r = random.Random(seed)
    for s in lines(n, seed):
        b = bytearray(s.encode())
        for _ in range(r.randrange(1, 4)):
            b.insert(r.randrange(len(b) + 1), r.choice([0x80, 0xbf, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xff]))
        if not any(chr(c).encode() in b for c in NEW):
            yield bytes(b)


def replaced(b):
    """What lathe reads where a tokenizer cannot say bytes: each byte that is no UTF-8 as U+FFFD."""
    return "".join("\ufffd" if 0xdc80 <= ord(c) <= 0xdcff else c for c in b.decode(errors="surrogateescape"))


class Err(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("text", ctypes.c_char * 504)]


class Lathe:
    def __init__(self, path):
        self.lib = ctypes.CDLL(os.path.abspath(path))
        self.libc = ctypes.CDLL(None)
        self.libc.free.argtypes = [ctypes.c_void_p]
        self.lib.lathe_vocab_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        self.lib.lathe_vocab_free.argtypes = [ctypes.c_void_p]
        self.lib.lathe_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self.lib.lathe_detokenize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self.v = None

    def open(self, path):
        if self.v:
            self.lib.lathe_vocab_free(self.v)
        self.v = None
        v, err = ctypes.c_void_p(), Err()
        if self.lib.lathe_vocab_open(os.fsencode(path), ctypes.byref(v), ctypes.byref(err)):
            return err.text.decode(errors="replace")
        self.v = v
        return None

    def encode(self, text, flags=1):
        ids, n, err = ctypes.c_void_p(), ctypes.c_size_t(), Err()
        if self.lib.lathe_tokenize(self.v, text, len(text), flags, ctypes.byref(ids), ctypes.byref(n), ctypes.byref(err)):
            return err.text.decode(errors="replace")
        out = list((ctypes.c_int32 * n.value).from_address(ids.value)) if n.value else []
        self.libc.free(ids)
        return out

    def decode(self, ids, special):
        a, text, n, err = (ctypes.c_int32 * len(ids))(*ids), ctypes.c_void_p(), ctypes.c_size_t(), Err()
        if self.lib.lathe_detokenize(self.v, a, len(ids), special, ctypes.byref(text), ctypes.byref(n), ctypes.byref(err)):
            return err.text
        out = ctypes.string_at(text.value, n.value)
        self.libc.free(text)
        return out


class Tally:
    def __init__(self, verbose):
        self.n = self.bad = 0
        self.verbose = verbose

    def check(self, what, text, want, got, show=repr):
        self.n += 1
        if want == got:
            return
        self.bad += 1
        if self.bad <= (1000 if self.verbose else 8):
            i = next((i for i, (x, y) in enumerate(zip(want, got)) if x != y), min(len(want), len(got)))
            print(f"  DIFFERS {what}: {text!r}\n    want [{i}]: {show(want[max(0, i - 3):i + 8])}\n    got  [{i}]: {show(got[max(0, i - 3):i + 8])}")


def compare(lathe, path, tok, n, verbose):
    why = lathe.open(path)
    if why:
        print(f"{os.path.basename(path)}: {why}")
        return 1
    t = Tally(verbose)
    show = lambda ids: " ".join(f"{i}={tok.id_to_token(i)!r}" for i in ids) if isinstance(ids, list) else repr(ids)
    for s in lines(n):
        b = s.encode()
        for flags, special in ((3, True), (1, False)):
            try:
                want = tok.encode(s, add_special_tokens=special).ids
            except Exception:  # there it has no answer
                want = None
            got = lathe.encode(b, flags)
            if want is not None or not isinstance(got, str):
                t.check(f"ids {flags}", s, want or [], got, show)
        if not isinstance(got, list):
            continue
        for special in (True, False):
            want = tok.decode(got, skip_special_tokens=not special)
            text = lathe.decode(got, special).decode(errors="replace")
            if "\ufffd" not in want and "\ufffd" not in text:  # cut characters: here the bytes come back, there U+FFFD
                t.check(f"text {special}", (s, got), want, text)
    keeps = lathe.encode(b"\xff", 0) != lathe.encode("\ufffd".encode(), 0)
    for b in broken(n // 4):
        if keeps:
            whole = lathe.encode(b, 0)
            t.check("bytes", b, 0, 0 if isinstance(whole, list) else 1)
        else:
            t.check("bytes", b, tok.encode(replaced(b), add_special_tokens=False).ids, lathe.encode(b, 1), show)
    print(f"{os.path.basename(path)}: {t.n} comparisons, {t.bad} differ")
    return t.bad


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lib", default="build/liblathe.so")
    p.add_argument("--lines", type=int, default=10000)
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--emit")
    p.add_argument("--only", default="")
    p.add_argument("files", nargs="*")
    args = p.parse_args()
    from tokenizers import Tokenizer
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from tokenizer_cases import TEXTS, tokenizers
    if args.emit:
        with open(args.emit, "w") as f:
            for name, tok in tokenizers():
                rows = []
                for s in TEXTS:
                    ids = tok.encode(s, add_special_tokens=False).ids
                    rows.append([s, ids, tok.encode(s).ids, tok.decode(ids, skip_special_tokens=False)])
                row = {"name": name, "tokenizer": json.loads(tok.to_str()), "cases": rows}
                f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        return 0
    lathe, bad = Lathe(args.lib), 0
    for path in args.files:
        tok = Tokenizer.from_file(path)
        tok.no_truncation()
        tok.no_padding()
        bad += compare(lathe, path, tok, args.lines, args.verbose)
    if not args.files:
        with tempfile.TemporaryDirectory() as d:
            for name, tok in tokenizers():
                if args.only in name:
                    path = os.path.join(d, name + ".json")
                    tok.save(path)
                    bad += compare(lathe, path, tok, args.lines, args.verbose)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
