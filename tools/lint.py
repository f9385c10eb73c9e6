#!/usr/bin/env python3
"""Checks of the house rules that a machine can make: format, sizes, rooms, names, words; then cppcheck and shellcheck.

Prints one line per finding and ends with status 1 if there was one. Looks at the files that git knows (and new ones that it
would), so that build trees do not count.
"""
import ast, os, re, shutil, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE, MAX_FUNCTION = 1000, 120
ROOMS = ["base", "quant", "format", "kern", "text", "model", "engine"]  # each may include those before it
OUTER = ["server", "measure", "store", "cli", "shape"]
OUTER_MAY = {"measure": {"base", "measure"}, "cli": {"base", "measure", "server", "store", "cli"}, "server": {"base", "server"}, "store": {"base", "store"},
             "shape": set(ROOMS) | {"shape"}}
TABLE = re.compile(r"(_tab\.[ch]|\.inc)$")
findings = []


def find(place, words):
    findings.append(f"{place}: {words}")


def tracked():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE,
                         check=True).stdout.decode()
    return sorted(p for p in set(out.split("\0")) if p and (ROOT / p).is_file())


def check_sizes(path, lines):
    if TABLE.search(path):
        return
    if len(lines) > MAX_FILE:
        find(path, f"{len(lines)} lines, at most {MAX_FILE}")
    if not path.endswith((".c", ".h")):
        return
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            if i - start - 1 > MAX_FUNCTION:
                find(f"{path}:{start}", f"function of {i - start - 1} lines, at most {MAX_FUNCTION}")
            start = None


def check_rooms(path, lines):
    m = re.match(r"src/(\w+)/", path)
    if not m or m.group(1) not in ROOMS + OUTER:
        return
    room = m.group(1)
    allowed = set(ROOMS[:ROOMS.index(room) + 1]) if room in ROOMS else OUTER_MAY[room]
    for i, line in enumerate(lines):
        inc = re.match(r'#\s*include "(\w+)/', line)
        if inc and inc.group(1) in ROOMS + OUTER and inc.group(1) not in allowed:
            find(f"{path}:{i + 1}", f"room {room} may not include {inc.group(1)}/")


def check_words(path, lines):
    if path.startswith(("tests/data/", "tests/fuzz/corpus/")) or path == "LICENSE":
        return
    bad = re.compile(r"\u2014|\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\w)")
    for i, line in enumerate(lines):
        m = bad.search(line)
        if m:
            find(f"{path}:{i + 1}", f"'{m.group(0)}' does not belong here")
        if path.endswith((".c", ".h", ".py", ".sh", ".cmake")) and line != line.rstrip():
            find(f"{path}:{i + 1}", "space at the end of the line")
    if path.endswith(".c") and path.startswith("src/") and lines and not lines[0].startswith("/*"):
        find(f"{path}:1", "the first line says what the file is: /* ... */")


def check_names(paths):
    seen = {}
    for p in paths:
        if not p.startswith("src/") or not p.endswith((".c", ".h")):
            continue
        name = Path(p).name
        if name in seen:
            find(p, f"the same file name as {seen[name]}: names are unique")
        seen[name] = p


def check_symbols():
    """Functions that the public header declares begin with lathe_, and every LATHE_API is there."""
    text = (ROOT / "include/lathe.h").read_text()
    for m in re.finditer(r"^LATHE_API [^;]*?(\w+)\(", text, re.M):
        if not m.group(1).startswith("lathe_"):
            find("include/lathe.h", f"{m.group(1)} is exported but does not begin with lathe_")
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        if re.search(r"\bLATHE_API\b", path.read_text(errors="replace")):
            find(path.relative_to(ROOT), "LATHE_API belongs in include/lathe.h alone")


def check_clients():
    """The table of real clients and cases has no empty cell."""
    path = "tests/clients/test_clients.py"
    text = (ROOT / path).read_text()
    tree = ast.parse(text)
    axes = {t.id: ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) for t in n.targets
            if isinstance(t, ast.Name) and t.id in ("CLIENTS", "CASES")}
    cells = {n.name: n.body for n in tree.body if isinstance(n, ast.FunctionDef)}
    for client in axes.get("CLIENTS", ()):
        for case in axes.get("CASES", ()):
            asserts = [n for b in cells.get(f"{client}_{case}", []) for n in ast.walk(b) if isinstance(n, (ast.Assert, ast.With, ast.Call))]
            if not asserts:
                find(path, f"the cell {client} x {case} is empty: there is no function {client}_{case} that does something")
    for name in ("CLIENTS", "CASES"):
        if not axes.get(name):
            find(path, f"the table has no {name}")


def tool(name, *names):
    for n in (name, *names):
        if shutil.which(n):
            return n
    find(name, "is missing: `make setup` installs it")
    return None


def check_format(paths):
    exe = tool("clang-format-14", "clang-format")
    c = [p for p in paths if p.endswith((".c", ".h")) and p.startswith(("src/", "tests/", "examples/", "bench/")) and
         not TABLE.search(p) and not p.startswith(("tests/fuzz/corpus/", "tests/data/"))]
    version = subprocess.run([exe, "--version"], stdout=subprocess.PIPE, text=True).stdout if exe else ""
    if exe and " 14." not in version:
        find("clang-format", f"version 14 is needed, this is: {version.strip()}")
    elif exe:
        def one(p):
            r = subprocess.run([exe, "--dry-run", p], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            return p, re.search(r":(\d+):\d+: warning", r.stderr)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for p, m in pool.map(one, c):
                if m:
                    find(f"{p}:{m.group(1)}", "is not formatted: clang-format-14 -i " + p)


def run_tool(cmd):
    r = subprocess.run(cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    if r.returncode:
        findings.extend(line for line in r.stdout.splitlines() if line.strip())
        if not r.stdout.strip():
            find(cmd[0], f"ended with status {r.returncode}")


def main():
    t = time.time()
    paths = tracked()
    for p in paths:
        if p.endswith((".png", ".gguf", ".bin")) or p.startswith("tests/fuzz/corpus/"):
            continue
        try:
            lines = (ROOT / p).read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError:
            continue
        if lines and lines[-1] == "":
            lines.pop()
        if p.startswith(("src/", "include/", "tests/", "tools/", "bench/", "examples/", "docs/")) or "/" not in p:
            check_sizes(p, lines) if not p.startswith(("docs/", "tests/data/")) and p != "LICENSE" else None
            check_words(p, lines)
        check_rooms(p, lines)
    check_names(paths)
    check_symbols()
    check_clients()
    check_format(paths)
    if tool("cppcheck"):
        run_tool(["cppcheck", "--quiet", "--error-exitcode=1", "--enable=warning,portability", "--inline-suppr", "--std=c11", "--max-configs=1",
                  "-j", str(os.cpu_count()), "--suppressions-list=tools/cppcheck.txt", "-Iinclude", "-Isrc", "-D__x86_64__", "-D_GNU_SOURCE",
                  "src"])
    scripts = [p for p in paths if p.endswith(".sh") or p == ".ci/run"]
    if scripts and tool("shellcheck"):
        run_tool(["shellcheck", *scripts])
    for line in findings:
        print(line)
    print(f"lint: {len(paths)} files, {len(findings)} finding{'' if len(findings) == 1 else 's'}, {time.time() - t:.0f} s")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
