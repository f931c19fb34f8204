"""The WebUI's callbacks: a tab, a section of the settings, and the API. Nothing heavy is imported at start-up."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import shared

import lib_sdtune
from lib_sdtune.access import LOOPBACK, Access
from lib_sdtune.app import App
from lib_sdtune.app import shared as shared_app

if TYPE_CHECKING:  # importing it imports torch
    from lib_sdtune.host.base import Host

SECTION = ("sdtune", "SD Tune")
NO_LOGIN = ("The WebUI can be reached from outside without a password, so SD Tune is off; start it with --gradio-auth "
            "or --api-auth USER:PASSWORD, or only for this machine.")
LOG_IN = "Log in on the WebUI's page first; programs need a password of --api-auth."
_access = None


def make_host() -> "Host":
    from lib_sdtune.host.webui.host import WebUIHost

    return WebUIHost()


def app() -> App:
    return shared_app(make_host, access())


def access() -> Access:
    """The WebUI's own rules, read off its flags once."""
    global _access
    if _access is None:
        flags = shared.cmd_opts
        pairs = (pair.partition(":") for pair in (flags.api_auth or "").split(",") if pair)
        public = flags.webui_is_non_local
        login = getattr(flags, "gradio_auth", None) or getattr(flags, "gradio_auth_path", None)
        closed = "" if flags.api_auth or not public else LOG_IN if login else NO_LOGIN
        credentials = {user: password for user, _, password in pairs}
        restricted = public or flags.hide_ui_dir_config
        _access = Access(credentials, closed, hosts=None if public else hosts, roots=roots if restricted else None)
    return _access


def hosts() -> frozenset[str]:
    """Names under which a WebUI that serves this machine alone may be called."""
    return LOOPBACK | {name.lower() for name in getattr(shared.cmd_opts, "sdtune_host", None) or []}


def roots() -> list[Path]:
    """Folders that pictures may come from when strangers may be asking."""
    from modules import paths

    by_setting = (getattr(shared.opts, "sdtune_roots", "") or "").splitlines()
    folders = [*getattr(shared.cmd_opts, "sdtune_pictures", []), *by_setting]
    return [Path(paths.data_path) / "sdtune" / "pictures", *(Path(name.strip()) for name in folders if name.strip())]


def api(demo: Any, server: Any) -> None:
    from lib_sdtune.api.router import attach

    attach(server, app())


def tab() -> list[tuple[Any, str, str]]:
    """The tab as the WebUI wants it: [(page, title, id)]."""
    from lib_sdtune.host.webui import recognition
    from lib_sdtune.ui.context import TabContext
    from lib_sdtune.ui.tab import build

    context = TabContext(app=app(), home="webui", defaults=defaults, why_unusable=why_unusable,
                         hide_dirs=access().roots is not None,
                         problem=recognition.problem() or without_scripts(Path(lib_sdtune.__file__).parents[1]))
    return [(build(context), "SD Tune", "sdtune_tab")]


def without_scripts(folder: Path) -> str:
    """A sentence where the page's addresses of our scripts would end too early, so that the tab would do nothing, or
    "".

    folder: where we are installed. The WebUI writes paths into addresses as they are, relative to where it was started.
    """
    served = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    sign = next((sign for sign in "#?" if sign in str(served)), "")
    if not sign:
        return ""
    return (
        f'The path {folder} has a "{sign}" in it, and the WebUI cannot serve scripts from there, so nothing would '
        "move in this tab. Rename that folder, or give the WebUI another --data-dir, and start it again."
    )


def defaults() -> dict[str, Any]:
    """What suits the loaded model, for the form; nothing while no model is loaded."""
    from lib_sdtune.host.webui import forks
    from lib_sdtune.sections.model import Model

    if forks.current().checkpoint() is None:
        return {}

    return app().host.defaults(Model())


def why_unusable(kind: str) -> str:
    """As `Host.why_unusable`, without a host, which is made with the first page."""
    from lib_sdtune.host.webui import forks

    return forks.current().why_unusable(kind)


def settings() -> None:
    """The section of the settings page."""
    add = shared.opts.add_option
    option = shared.OptionInfo
    add("sdtune_breathe", option(True, "Let generations interrupt a training between two steps", section=SECTION)
        .info("the training waits for them and goes on with the same result"))
    add("sdtune_subfolder", option("", "Sub-folder for trained files", component_args=shared.hide_dirs, section=SECTION,
                                   restrict_api=True)
        .info("inside models/Lora, embeddings, and so on; empty for none"))
    add("sdtune_roots", option("", "Folders that training pictures may come from when the WebUI can be reached by "
                               "others", component_args={"lines": 3, **shared.hide_dirs}, section=SECTION,
                               restrict_api=True)
        .info("one per line"))
    shared.restricted_opts |= {"sdtune_subfolder", "sdtune_roots"}


def axis() -> None:
    """Our runs on an axis of the WebUI's own X/Y/Z plot."""
    from lib_sdtune.extension import xyz

    xyz.add(lambda: app().host)
