"""What the server's tests share."""
import pytest

from serving import running


@pytest.fixture(scope="module")
def server(home, tiny):
    with running(home, tiny) as s:
        yield s
