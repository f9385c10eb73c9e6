"""Keeps what schemathesis asks of the model small and its deadlines long: the numbers stay what they are in kind, legal or not."""
import os

import schemathesis


@schemathesis.hook
def map_body(context, body):
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name) if isinstance(body, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and 4 < value < 2000:
            body[name] = 4
    for name in ("timeout_ms", "ttft_deadline_ms"):
        value = body.get(name) if isinstance(body, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 60000:
            body[name] = 60000
    return body


@schemathesis.hook
def after_call(context, case, response):
    """What was answered to each field of each route: "POST /v1/embeddings dimensions 200" lines, for the test to look at."""
    if isinstance(case.body, dict):
        with open(os.environ["LATHE_FIELDS_SEEN"], "a") as out:
            out.writelines(f"{case.method} {case.path} {name} {response.status_code}\n" for name, v in case.body.items() if v is not None and name.isascii())
