"""What most tests of runs begin with."""

import pytest


@pytest.fixture
def host(tmp_path):
    """A `TinyHost` with folders of its own."""
    from tests.hosts import TinyHost

    return TinyHost(tmp_path / "data")


@pytest.fixture
def images(tmp_path):
    """A folder of three pictures with captions, ten repeats each."""
    from tests.hosts import pictures

    return pictures(tmp_path / "10_ron")
