"""Keeps what schemathesis asks of the model small: the numbers stay what they are in kind, legal ones and illegal ones."""
import schemathesis


@schemathesis.hook
def map_body(context, body):
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name) if isinstance(body, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and 4 < value < 2000:
            body[name] = 4
    return body
