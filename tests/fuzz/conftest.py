"""Short in the suite; `pytest tests/fuzz --campaign 5000` is a campaign. What failed once is an `@example` of its test."""

import pytest

hypothesis = pytest.importorskip("hypothesis")

SHORT = 30  # examples of each test in the suite


def pytest_configure(config):
    count = config.getoption("--campaign", 0)
    hypothesis.settings.register_profile("fuzz", max_examples=count or SHORT, deadline=None, derandomize=not count,
                                         database=None, print_blob=True,
                                         suppress_health_check=list(hypothesis.HealthCheck))
    hypothesis.settings.load_profile("fuzz")
