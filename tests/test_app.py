"""What is put together once per process."""

from lib_sdtune.access import Access
from lib_sdtune.app import App, shared


def test_one_app_per_process(host, monkeypatch):
    monkeypatch.setattr("lib_sdtune.app._shared", None)
    access = Access()
    app = shared(lambda: host)
    assert isinstance(app, App) and shared(None, access) is app and app.access is access
    assert app.captions.context.access is access, "the services go by the new rules as well"


def test_the_host_is_made_when_it_is_needed_and_once(host):
    hosts = []
    app = App(lambda: hosts.append(host) or host)
    assert hosts == []
    assert app.host is app.host is app.jobs.context.host and hosts == [host]
