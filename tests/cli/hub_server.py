"""A hub of models and the storage that it sends on to, on two ports; it can be told to misbehave."""
import hashlib, json, re, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    def __init__(self):
        self.files = {}       # (repo, path) -> bytes
        self.small = set()    # paths that are kept in Git itself
        self.requests = []    # (server, path, headers)
        self.faults = []      # functions of (handler, server, path), taken one a request for a file; True: it has answered
        self.token = None     # that the hub wants
        self.gated = None     # status for those without
        self.page = 1000      # files a page of the list
        self.lie = {}         # path -> change of its entry in the list
        self.ranges = True
        self.etag = '"one"'
        self.servers = [self.serve("hub"), self.serve("store")]
        self.url, self.store = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)

    def serve(self, name):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                hub.requests.append((name, self.path, dict(self.headers)))
                try:
                    hub.answer(self, name)
                except (BrokenPipeError, ConnectionResetError):
                    pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def close(self):
        for s in self.servers:
            s.shutdown()
            s.server_close()

    def send(self, h, status, body=b"", **headers):
        h.send_response(status)
        for k, v in headers.items():
            h.send_header(k.replace("_", "-"), v)
        if "Content_Length" not in headers:
            h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def entry(self, repo, path):
        raw = self.files[repo, path]
        e = {"type": "file", "path": path, "size": len(raw), "oid": hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()}
        if path not in self.small:
            e["lfs"] = {"oid": hashlib.sha256(raw).hexdigest(), "size": len(raw), "pointerSize": 134}
            e["oid"] = "0" * 40
        return self.lie.get(path, lambda e: e)(e)

    def answer(self, h, server):
        path, _, query = h.path.partition("?")
        if server == "hub" and self.token and h.headers.get("Authorization") != "Bearer " + self.token:
            return self.send(h, self.gated or 401, b"secret words")
        m = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path)
        if server == "hub" and m:
            return self.tree(h, m[1], query)
        m = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if server == "hub" and m and (m[1], m[3]) in self.files:
            if self.faults and self.faults.pop(0)(h, server, m[3]):
                return None
            if m[3] in self.small:
                return self.send(h, 200, self.files[m[1], m[3]])
            return self.send(h, 302, b"", Location=f"{self.store}/{m[1]}/{m[3]}?signature=1")
        m = re.fullmatch(r"/([^/]+/[^/]+)/(.+)", path)
        if m and (m[1], m[2]) in self.files:
            return self.content(h, server, m[2], self.files[m[1], m[2]])
        return self.send(h, 404, b"no such thing")

    def tree(self, h, repo, query):
        paths = sorted(p for r, p in self.files if r == repo)
        if not paths:
            return self.send(h, 404, b"")
        start = int(dict(x.split("=") for x in query.split("&")).get("cursor", 0))
        body = json.dumps([{"type": "directory", "path": "sub", "oid": "0" * 40, "size": 0}] * (start == 0) +
                          [self.entry(repo, p) for p in paths[start:start + self.page]]).encode()
        more = {"Link": f'<{self.url}/api/models/{repo}/tree/main?recursive=true&cursor={start + self.page}>; rel="next"'}
        return self.send(h, 200, body, **(more if start + self.page < len(paths) else {}))

    def content(self, h, server, path, raw):
        if self.faults and self.faults.pop(0)(h, server, path):
            return None
        asked = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range", ""))
        if asked and self.ranges and h.headers.get("If-Range", self.etag) == self.etag:
            at = int(asked[1])
            if at >= len(raw):
                return self.send(h, 416, b"", Content_Range=f"bytes */{len(raw)}")
            return self.send(h, 206, raw[at:], ETag=self.etag, Content_Range=f"bytes {at}-{len(raw) - 1}/{len(raw)}")
        return self.send(h, 200, raw, ETag=self.etag)


# ---- faults

def status(code, **headers):
    def fault(h, server, path):
        h.send_response(code)
        for k, v in headers.items():
            h.send_header(k.replace("_", "-"), v)
        h.send_header("Content-Length", "5")
        h.end_headers()
        h.wfile.write(b"words")
        return True
    return fault


def drop(raw, n, status=200, **headers):
    """Promises all of raw, sends n bytes, closes."""
    def fault(h, server, path):
        h.send_response(status)
        h.send_header("Content-Length", str(len(raw)))
        for k, v in headers.items():
            h.send_header(k.replace("_", "-"), v)
        h.end_headers()
        h.wfile.write(raw[:n])
        h.wfile.flush()
        h.close_connection = True
        h.connection.shutdown(2)
        return True
    return fault


def fine(h, server, path):
    return False
