"""What the server's tests share."""
import pytest

from serving import Server


@pytest.fixture(scope="module")
def server(home, tiny):
    s = Server(home, tiny)
    yield s
    code, err = s.stop()
    assert code == 0 and err == "", err
