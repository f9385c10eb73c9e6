#!/usr/bin/env python3
"""Differential test of chat templates: Python's jinja2, set up as transformers does it, against lathe.

    template_oracle.py --lib build/liblathe.so [--shared DIR] [--verbose] [--emit FILE]

Every template of DIR/data/templates runs on a set of chats, and a list of small expressions by itself; both sides must give the same text or
both must fail. --emit writes the cases of template_cases.py with jinja2's answers, the data of test_template.c.
"""
import argparse, ctypes, datetime, glob, json, os, sys
import jinja2, jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment

DATE = "2025-07-10"


class Generation(jinja2.ext.Extension):
    """{% generation %} passes its body through."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(fmt):
        return datetime.datetime.strptime(DATE, "%Y-%m-%d").strftime(fmt)

    env = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


ENV = environment()


COMPILED = {}


def python_render(source, variables):
    try:
        if source not in COMPILED:
            COMPILED.clear()
            COMPILED[source] = ENV.from_string(source)
        return COMPILED[source].render(**json.loads(json.dumps(variables))), None
    except Exception as e:  # any failure of the template is a failure
        return None, f"{type(e).__name__}: {e}"


class Lathe:
    class Err(ctypes.Structure):
        _fields_ = [("code", ctypes.c_int), ("text", ctypes.c_char * 504)]

    def __init__(self, path):
        self.lib = ctypes.CDLL(os.path.abspath(path))
        self.libc = ctypes.CDLL(None)
        self.libc.free.argtypes = [ctypes.c_void_p]

    def render(self, source, variables):
        s = source.encode()
        v = json.dumps(variables).encode()
        out, n, err = ctypes.c_void_p(), ctypes.c_size_t(), self.Err()
        rc = self.lib.lathe_template_render(s, ctypes.c_size_t(len(s)), v, ctypes.c_size_t(len(v)), DATE.encode(),
                                            ctypes.byref(out), ctypes.byref(n), ctypes.byref(err))
        if rc:
            return None, err.text.decode(errors="replace")
        text = ctypes.string_at(out.value, n.value).decode()
        self.libc.free(out)
        return text, None


TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Get the current weather in a \"city\" <b>'now'</b>",
     "parameters": {"type": "object", "properties": {
         "city": {"type": "string", "description": "The city, e.g. Zürich"},
         "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
         "days": {"type": ["integer", "null"], "minimum": 1.0},
         "where": {"type": "array", "items": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}}},
         "required": ["city"]}, "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "add", "description": "Add\ntwo numbers",
     "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number", "nullable": True}}}}},
]
BARE_TOOLS = [t["function"] for t in TOOLS]


def call(args, call_id="call_123456"):
    c = {"type": "function", "function": {"name": "get_weather", "arguments": args}}
    if call_id:
        c["id"] = call_id
    return c


def chats():
    user = {"role": "user", "content": "Hi, how's 2 < 3 & \"it\"?\n"}
    bot = {"role": "assistant", "content": "  Fine — thänks 🙂 \n\n"}
    system = {"role": "system", "content": " You are a <helpful> bot. "}
    think = {"role": "assistant", "content": "<think>\nhm, 1+1\n</think>\n\nThe answer is 2."}
    reason = {"role": "assistant", "content": "Two.", "reasoning_content": "one and one"}
    thinking = {"role": "assistant", "content": "Two.", "thinking": "one and one"}
    yield "user", [user]
    yield "system", [system, user]
    yield "turns", [user, bot, user]
    yield "system turns", [system, user, bot, user, bot, user]
    yield "ends with assistant", [system, user, bot]
    yield "think", [user, think, user]
    yield "think last", [user, think]
    yield "reasoning", [system, user, reason, user]
    yield "thinking", [system, user, thinking, user]
    yield "two users", [user, user]
    yield "developer", [{"role": "developer", "content": "Be brief."}, user]
    yield "parts", [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]}, bot, user]
    yield "image", [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    yield "system parts", [{"role": "system", "content": [{"type": "text", "text": "Be good."}]}, {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    yield "empty", []
    yield "empty content", [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}, user]
    yield "no content", [user, {"role": "assistant"}, user]
    yield "null content", [user, {"role": "assistant", "content": None}, user]
    yield "unknown role", [{"role": "narrator", "content": "Once"}, user]
    for name, args in (("dict", {"city": "Zürich", "days": 3, "deep": {"x": [1, 2.5, None, True, "a\"b"]}}), ("text", '{"city": "Paris"}'), ("none", {})):
        for cid in ("call_123456", "abcdefghi", None):
            for content in ("", None, "Let me see."):
                calls = [call(args, cid)]
                result = {"role": "tool", "content": "{\"temp\": 21.5}", "name": "get_weather"}
                if cid:
                    result["tool_call_id"] = cid
                m = [user, {"role": "assistant", "content": content, "tool_calls": calls}, result]
                yield f"tool {name} {cid} {content}", m
                yield f"tool {name} {cid} {content} answer", [system] + m + [bot, user]
                if content == "":
                    yield f"tools twice {name} {cid}", [system, user, {"role": "assistant", "content": content, "tool_calls": calls * 2}, result, result, bot]
    yield "tool without content key", [user, {"role": "assistant", "tool_calls": [call({"city": "Rome"})]}, {"role": "tool", "tool_call_id": "call_123456", "content": "ok"}, bot]
    yield "bare call", [user, {"role": "assistant", "content": None, "tool_calls": [{"name": "get_weather", "arguments": {"city": "Rome"}}]}, {"role": "tool", "content": "ok"}]
    yield "tool content dict", [user, {"role": "assistant", "content": "", "tool_calls": [call({"city": "Rome"})]}, {"role": "tool", "name": "get_weather", "content": {"t": 1}}]
    yield "tool content list", [user, {"role": "assistant", "content": "", "tool_calls": [call({"city": "Rome"})]}, {"role": "tool", "tool_call_id": "call_123456", "content": [{"type": "text", "text": "sunny"}]}]
    yield "ipython", [user, {"role": "assistant", "content": "x"}, {"role": "ipython", "content": "ok"}]


def variables():
    base = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    for name, messages in chats():
        for generate in (True, False):
            for tools in (None, TOOLS, BARE_TOOLS, []):
                v = dict(base, messages=messages, add_generation_prompt=generate)
                if tools is not None:
                    v["tools"] = tools
                yield f"{name} / generate {generate} / tools {len(tools) if tools is not None else None}", v
    user = [{"role": "system", "content": "Be."}, {"role": "user", "content": "Hi"}]
    for extra in ({"enable_thinking": True}, {"enable_thinking": False}, {"thinking": True}, {"thinking": False}, {"reasoning_effort": "high"},
                  {"documents": [{"title": "A", "text": "B", "contents": "C", "doc_id": 3}]}, {"date_string": "1 Jan 2020"}, {"tools_in_user_message": False},
                  {"builtin_tools": ["wolfram_alpha", "code_interpreter"]}, {"xml_tools": BARE_TOOLS}, {"controls": {"length": "long"}},
                  {"continue_final_message": True}, {"add_vision_id": True}, {"model_identity": "I am."}, {"custom_tools": TOOLS}, {"functions": BARE_TOOLS}):
        yield f"extra {extra}"[:60], dict(base, messages=user, add_generation_prompt=True, **extra)
        yield f"extra {extra} and tools"[:60], dict(base, messages=user, add_generation_prompt=True, tools=TOOLS, **extra)


class Tally:
    def __init__(self, verbose):
        self.n = self.n_raise = self.bad = 0
        self.verbose = verbose

    def check(self, what, want, want_err, got, got_err):
        self.n += 1
        self.n_raise += want is None
        if want == got:
            return True
        self.bad += 1
        if self.bad <= (1000 if self.verbose else 15):
            print(f"DIFFERS: {what}\n  jinja2: {want_err or repr(around(want, got))}\n  lathe:  {got_err or repr(around(got, want))}")
        return False


def around(a, b):
    if b is None:
        return a[:160]
    i = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"@{i}: " + a[max(0, i - 50):i + 90]


def templates(shared):
    d = os.path.join(shared, "data/templates")
    for line in open(os.path.join(d, "goldens.jsonl")):
        t = json.loads(line)
        yield "goldens " + str(t.get("model", t.get("name", "?"))), t["chat_template"], t
    for i, line in enumerate(open(os.path.join(d, "wild.jsonl"))):
        t = json.loads(line)
        yield f"wild {i}", t["gguf"], None
    for path in sorted(glob.glob(os.path.join(d, "jinja_and_gbnf/*.jinja"))):
        yield os.path.basename(path), open(path, newline="").read(), None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lib")
    p.add_argument("--shared", default=os.environ.get("LATHE_SHARED", os.path.join(os.path.dirname(__file__), "../../../shared")))
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--emit")
    p.add_argument("--only", default="")
    args = p.parse_args()
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from template_cases import CASES
    if args.emit:
        with open(args.emit, "w") as f:
            f.write(json.dumps({"vars": CASES[0][1]}, ensure_ascii=False) + "\n")
            for source, v in CASES:
                want, _ = python_render(source, v)
                row = {"template": source}
                row.update({"text": want} if want is not None else {"fails": True})
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
        return 0
    lathe = Lathe(args.lib)
    small = Tally(args.verbose)
    for source, v in CASES:
        if args.only in "cases":
            small.check(source, *python_render(source, v), *lathe.render(source, v))
    print(f"small cases: {small.n}, {small.n_raise} of them fail, {small.bad} differ")
    bad = small.bad
    golden = n_golden = 0
    if os.path.isdir(args.shared):
        all_vars = list(variables())
        total = Tally(args.verbose)
        broken = {}
        for name, source, g in templates(args.shared):
            if args.only not in name:
                continue
            if g:
                n_golden += 1
                got, err = lathe.render(source, g["data"])
                golden += got == g["target"]
                total.check(name + " golden", *python_render(source, g["data"]), got, err)
            for what, v in all_vars:
                if not total.check(f"{name} / {what}", *python_render(source, v), *lathe.render(source, v)):
                    broken[name] = broken.get(name, 0) + 1
        print(f"templates: {total.n} renderings, {total.n_raise} of them fail, {total.bad} differ; goldens that give target: {golden} of {n_golden}")
        for name, n in broken.items():
            print(f"  {name}: {n}")
        bad += total.bad
    else:
        print(f"skipped: templates of {args.shared} (not there)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
