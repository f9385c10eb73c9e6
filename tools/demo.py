#!/usr/bin/env python3
"""Serves a model and answers one chat with it: demo.py PROGRAM MODEL QUESTION

On a terminal the server stays until Ctrl-C; without one it ends after the answer. A port that is taken gives way to the next.
"""
import json, os, signal, subprocess, sys, time, urllib.request

FIRST_PORT, N_PORT = int(os.environ.get("LATHE_DEMO_PORT", "8080")), 20
KEPT = ("LATHE_CACHE_DIR", "LATHE_CPU", "LATHE_THREADS")  # of the caller's settings; others could keep the demo out


def fail(words):
    sys.exit(f"lathe: {words}")


def start(program, model, port):
    """The server and its address; (None, words) if it does not come up."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LATHE_") or k in KEPT}
    server = subprocess.Popen([program, "serve", "-m", model, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                              text=True, start_new_session=True)  # Ctrl-C is for this script, which tells it
    for line in server.stdout:
        print(line, end="", flush=True)
        if line.startswith("serving "):
            return server, line.split()[1]
    words = server.stderr.read().strip()
    server.wait()
    return None, words


def start_somewhere(program, model):
    for port in range(FIRST_PORT, FIRST_PORT + N_PORT):
        server, where = start(program, model, port)
        if server:
            return server, where
        if f"port {port} cannot be served" not in where:
            fail(where.removeprefix("lathe: "))
        print(f"lathe: port {port} is taken, trying {port + 1}", flush=True)
    fail(f"ports {FIRST_PORT} to {FIRST_PORT + N_PORT - 1} are all taken")


def chat(url, question):
    """Prints the answer as it comes, and its figures."""
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 120, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    began, first, usage = time.monotonic(), None, {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    print(f"\n> {question}", flush=True)
    with opener.open(request, timeout=600) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            part = json.loads(line[6:])
            if "error" in part:
                fail(part["error"]["message"])
            usage = part.get("usage") or usage
            for choice in part["choices"]:
                first = first or time.monotonic()
                print(choice["delta"].get("content") or "", end="", flush=True)
    n, ended = usage.get("completion_tokens", 0), time.monotonic()
    speed = (n - 1) / (ended - first) if first and n > 1 else 0
    print(f"\n\n{n} tokens, the first after {((first or ended) - began) * 1e3:.0f} ms, then {speed:.0f} a second", flush=True)


def stop(server):
    server.send_signal(signal.SIGTERM)
    try:
        server.wait()
    except KeyboardInterrupt:
        server.send_signal(signal.SIGTERM)
        server.wait()


def main():
    program, model, question = sys.argv[1:]
    server, url = start_somewhere(program, model)
    try:
        chat(url, question)
        if sys.stdout.isatty():
            print(f"\nIt goes on serving OpenAI clients at {url}/v1 until Ctrl-C:\n"
                  f"  curl {url}/v1/chat/completions -d '{{\"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'", flush=True)
            server.wait()
            fail("the server has ended: " + server.stderr.read().strip())
    except KeyboardInterrupt:
        print()
    finally:
        if server.poll() is None:
            stop(server)


if __name__ == "__main__":
    main()
