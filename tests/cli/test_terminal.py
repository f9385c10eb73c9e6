"""On a terminal: line editing, history, progress, statistics after the answer."""
import os, pty, select, time

from conftest import PROGRAM


class Terminal:
    def __init__(self, args, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(PROGRAM, [PROGRAM, *map(str, args)], {**os.environ, "TERM": "xterm", **env})
        self.seen = b""

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, words, seconds=60):
        """Reads until the words were there; returns what came up to them and forgets it."""
        end = time.time() + seconds
        while words.encode() not in self.seen:
            assert time.time() < end, self.seen
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    break
        assert words.encode() in self.seen, self.seen
        head, _, self.seen = self.seen.partition(words.encode())
        return head.decode(errors="replace")

    def end(self, word="", seconds=60):
        """Reads the rest; returns it and the exit code. `word` is typed first, not while the terminal may still be changing
        from one mode to the other: Linux holds back what comes then."""
        end = time.time() + seconds
        time.sleep(0.5 if word else 0)
        while time.time() < end:
            try:
                if word:
                    self.send(word)
                    word = ""
                while select.select([self.fd], [], [], 2)[0]:
                    data = os.read(self.fd, 65536)
                    if not data:
                        break
                    self.seen += data
            except OSError:
                return self.seen.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.kill(self.pid, 9)
        raise AssertionError(self.seen)


def test_chat_edits_lines_and_keeps_history(tiny, tmp_path):
    env = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    t = Terminal(["chat", "-m", tiny, "-n", "3", "--temp", "0"], env)
    assert "MiB of memory" in t.wait_for("Ctrl-D ends")
    t.wait_for("> ")
    t.send("/helq\x7fp\r")  # backspace is an edit
    t.wait_for("begin a new conversation")
    t.wait_for("> ")
    t.send("hello\r")
    t.wait_for("> ")
    t.send("/stats\r")
    t.wait_for("last answer: prompt")
    t.wait_for("> ")
    text, code = t.end("\x04")
    assert code == 0, text
    history = tmp_path / "state/lathe/history"
    if history.exists():  # a build without libedit keeps none
        text = history.read_text()
        assert "hello" in text and "/stats" in text and "helq" not in text


def test_chat_survives_an_interrupted_answer(tmp_path):
    import tiny_model
    long = tmp_path / "long.gguf"
    tiny_model.write(str(long), n_ctx=65536)
    t = Terminal(["chat", "-m", long, "-c", "65536", "--temp", "0", "--ignore-eos", "--logit-bias=65=1000"], {"HOME": str(tmp_path)})
    t.wait_for("> ")
    t.send("hi\r")
    t.wait_for("AAAAAAAA")
    t.send("\x03")
    t.wait_for("\n> ")
    t.send("/undo\r")
    t.wait_for("> ")
    text, code = t.end("/quit\r")
    assert code == 0, text


def test_run_prints_times_after_the_answer(tiny, tmp_path):
    t = Terminal(["run", "-m", tiny, "-p", "hello", "-n", "4", "--temp", "0"], {"HOME": str(tmp_path)})
    text, code = t.end()
    assert code == 0 and "time to first token" in text and "tokens/s" in text
    t = Terminal(["run", "-m", tiny, "-p", "hello", "-n", "4", "--temp", "0", "--stats", "off"], {"HOME": str(tmp_path)})
    text, code = t.end()
    assert code == 0 and "tokens/s" not in text and text.endswith("\n")


def test_progress_bar_is_drawn_and_wiped(tiny, tmp_path):
    words = tmp_path / "text"
    words.write_text("the in hello quick brown fox " * 400)
    t = Terminal(["perplexity", "-m", tiny, "-f", words], {"HOME": str(tmp_path)})
    text, code = t.end()
    assert code == 0 and "scoring [" in text and "\r\x1b[K" in text
    assert text.rindex("perplexity") > text.rindex("\x1b[K")
