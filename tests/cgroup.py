"""Processes of bounded memory: real cgroups, where this machine gives them."""
import os, re, time
from pathlib import Path


class Cgroup:
    """A real one, of version 1 or 2, with its limits; its name in `missing` if this machine gives none."""

    def __init__(self, n_bytes, n_cpu):
        name = f"lathe-test-{os.getpid()}"
        root = Path("/sys/fs/cgroup")
        self.folders, self.missing = [], None
        try:
            if (root / "cgroup.controllers").exists():
                f = root / name
                f.mkdir()
                self.folders = [f]
                (f / "memory.max").write_text(str(n_bytes))
                (f / "cpu.max").write_text(f"{int(n_cpu * 100000)} 100000")
            else:
                for kind, files in (("memory", {"memory.limit_in_bytes": n_bytes}),
                                    ("cpu", {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": int(n_cpu * 100000)})):
                    f = root / kind / name
                    f.mkdir()
                    self.folders.append(f)
                    for file, value in files.items():
                        (f / file).write_text(str(value))
        except OSError as e:
            self.missing = str(e)
            self.remove()

    def enter(self):
        for f in self.folders:
            (f / "cgroup.procs").write_text("0")

    def n_killed(self):
        for file, field in (("memory.events", "oom_kill"), ("memory.oom_control", "oom_kill")):
            path = self.folders[0] / file
            found = re.search(rf"^{field} (\d+)$", path.read_text(), re.M) if path.exists() else None
            if found:
                return int(found[1])
        return 0

    def remove(self):
        for f in self.folders:
            for _ in range(100):  # the last process may still be leaving
                try:
                    f.rmdir()
                    break
                except OSError:
                    time.sleep(0.02)
