#!/usr/bin/env python3
"""Builds and runs the test suites, prints each one's time, names the skips and counts.

  suite.py test     release build, everything but the label long
  suite.py long     asan+ubsan run of all unit tests, tsan run of the engine's, torture, soak, the real clients, fuzzers (60 s each)

A suite is a build preset and a choice of ctest labels. Single cases are counted out of the output of cmocka and pytest, a program
without such output counts as one. A skipped case must be a row of tests/skips.txt whose condition holds here, else the run
fails. The last line is "N passed, N failed". LATHE_COUNTS=FILE adds the counts to FILE as well (for .ci/run).
"""
import os, re, subprocess, sys, tempfile, time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = str(os.cpu_count() or 2)
# name, preset, ctest arguments, extra environment
SUITES = {
    "test": [("unit and black-box tests", "release", ["-LE", "long"], {})],
    "long": [("unit tests under asan+ubsan", "asan", ["-LE", "cli|long"], {}),
             ("black-box tests under asan+ubsan", "asan", ["-L", "cli", "-LE", "long"], {}),
             ("engine tests under tsan", "tsan", ["-L", "engine|base", "-LE", "long"], {}),
             ("run, chat and server under tsan", "tsan",
              ["-R", "test_run_py|test_server_py|test_api_py|test_access_py|test_limits_py|test_operation_py"], {}),
             ("torture under asan+ubsan", "asan", ["-L", "torture"], {}),
             ("real clients and schemathesis", "release", ["-L", "clients"], {}),
             ("soak: thousands of clients of every kind", "release", ["-L", "soak"], {}),
             ("soak under asan+ubsan", "asan", ["-L", "soak"], {}),
             ("unit tests on aarch64 under qemu", "aarch64", ["-LE", "long"], {}),
             ("edge build for aarch64", "edge-aarch64", [], {}),
             ("fuzzers", "fuzz", ["-L", "fuzz"], {})],
}


def shared_present():
    return any((Path(p) / "data").is_dir() for p in [os.environ.get("LATHE_SHARED", ""), ROOT / "../shared"] if p)


def cpu_flag(flag):
    try:
        return flag in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False


def arm_present():
    return subprocess.run(["tools/setup.sh", "--check", "arm"], cwd=ROOT, stderr=subprocess.DEVNULL).returncode == 0


def cgroup_present():
    root = Path("/sys/fs/cgroup")
    folder = (root if (root / "cgroup.controllers").exists() else root / "memory") / f"lathe-suite-{os.getpid()}"
    try:
        folder.mkdir()
        folder.rmdir()
        return True
    except OSError:
        return False


def condition_holds(words, preset):
    """Whether a skip with these words (see tests/skips.txt) is legitimate on this machine and in this build."""
    for w in words.split(","):
        if w == "any" or (w == "no-shared" and not shared_present()):
            return True
        if w == "no-model" and not os.environ.get("LATHE_MODEL"):
            return True
        if w == "sanitizer" and preset in ("asan", "tsan", "coverage"):
            return True
        if w == "emulated" and preset == "aarch64":
            return True
        if w == "no-hwloc" and subprocess.run(["pkg-config", "--exists", "hwloc"]).returncode:
            return True
        if w == "no-yaml" and subprocess.run(["pkg-config", "--exists", "yaml-0.1"]).returncode:
            return True
        if w == "no-curl" and subprocess.run(["pkg-config", "--exists", "libcurl >= 7.85", "gnutls"]).returncode:
            return True
        if w == "no-cgroup" and not cgroup_present():
            return True
        if w == "no-clients" and subprocess.run(["tools/clients.sh", "--check"], cwd=ROOT).returncode:
            return True
        if w == "no-arm" and not arm_present():
            return True
        if w.startswith("no-cpu:") and preset != "aarch64" and not cpu_flag(w[7:]):
            return True
    return False


def known_skips():
    rows = {}
    for line in (ROOT / "tests/skips.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, words = line.partition(" ")
            rows[name] = words.strip() or "any"
    return rows


def cases(name, out, ok):
    """Counts of one ctest test's output: passed, failed, [names skipped]."""
    passed = len(re.findall(r"^\[ +OK \]", out, re.M))
    failed = len(set(re.findall(r"^\[ +(?:FAILED|ERROR) +\] (\S+)$", out, re.M)))
    skipped = [f"{name}/{t}" for t in sorted(set(re.findall(r"^\[ +SKIPPED \] (\w+)$", out, re.M)))]
    tail = re.findall(r"^(?:\d+ (?:passed|failed|skipped|error\w*|deselected|warning\w*)(?:, )?)+ in ", out, re.M)
    if tail:
        def count(word):
            m = re.search(rf"(\d+) {word}", tail[-1])
            return int(m.group(1)) if m else 0
        passed, failed = count("passed"), count("failed") + count("error")
        skipped = []
        for n, place, why in re.findall(r"^SKIPPED \[(\d+)\] (\S+?):\d+: (.*)$", out, re.M):
            skipped.append(f"{name}/{why.split(':')[0].strip().replace(' ', '-')}")
        if count("skipped") and not skipped:
            skipped = [f"{name}/?"]
    if not ok and not failed:
        failed = 1
    if ok and passed + failed + len(skipped) == 0:
        passed = 1
    return passed, failed, skipped


def build(preset):
    with tempfile.TemporaryFile("w+") as out:
        for cmd in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "-j", JOBS]):
            if subprocess.run(cmd, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode:
                out.seek(0)
                print("\n".join(out.read().splitlines()[-40:]))
                print(f"lathe: build of preset {preset} failed")
                return False
    return True


def run(title, preset, args, env):
    if preset.endswith("aarch64") and not arm_present():
        return 0, 0, [preset + "/cross-build"]
    t = time.time()
    if not build(preset):
        return 0, 1, []
    t_build, t = time.time() - t, time.time()
    report = Path(tempfile.mkdtemp()) / "junit.xml"
    cmd = ["ctest", "--preset", preset, "-j", JOBS, "--output-junit", str(report), "--test-output-size-passed", "4000000",
           "--test-output-size-failed", "4000000", "--output-on-failure", *args]
    r = subprocess.run(cmd, cwd=ROOT, env=dict(os.environ, **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", stdin=subprocess.DEVNULL)
    total = [0, 0, []]
    tests = list(ET.parse(report).getroot().iter("testcase")) if report.exists() else []
    for case in tests:
        out = case.findtext("system-out") or ""
        p, f, s = cases(case.get("name"), out, case.get("status") == "run")
        total[0] += p
        total[1] += f
        total[2] += s
        if case.get("status") != "run":
            print(f"--- {case.get('name')} failed\n" + "\n".join(out.splitlines()[-60:]))
    if r.returncode and not total[1]:
        print(r.stdout[-4000:])
        total[1] = 1
    if not tests:
        print(f"lathe: suite '{title}' ran no test")
        total[1] += 1
    print(f"suite {title}: {total[0]} passed, {total[1]} failed, {len(total[2])} skipped; "
          f"{time.time() - t:.0f} s, build {t_build:.0f} s", flush=True)
    return total


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in SUITES:
        sys.exit(__doc__)
    known = known_skips()
    passed = failed = 0
    for title, preset, args, env in SUITES[sys.argv[1]]:
        p, f, skipped = run(title, preset, args, env)
        for name in skipped:
            words = known.get(name)
            if words is None:
                words = next((w for n, w in known.items() if n.endswith("/*") and name.startswith(n[:-1])), None)
            if words is not None and condition_holds(words, preset):
                print(f"  skipped {name} ({words})")
            else:
                print(f"  skipped {name}: {'not in tests/skips.txt' if words is None else 'allowed only for ' + words}: counts as failed")
                f += 1
        passed, failed = passed + p, failed + f
    if os.environ.get("LATHE_COUNTS"):
        with open(os.environ["LATHE_COUNTS"], "a") as out:
            out.write(f"{passed} {failed}\n")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
