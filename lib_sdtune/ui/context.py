"""Where the tab stands: in the WebUI or alone, and what it may show there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TabContext:
    """app: the `lib_sdtune.app.App` whose runs and services the tab shows.

    home: "webui" or "standalone". defaults: function that gives the settings that suit the loaded model, a nested dict
    laid under the user's. why_unusable: as `Host.why_unusable`. hide_dirs: server folders are neither shown nor chosen
    (`--hide-ui-dir-config`). problem: what is shown instead of the form when training cannot work here at all.
    """

    app: Any = None
    home: str = "standalone"
    defaults: Any = field(default=dict)
    why_unusable: Callable[[str], str] = lambda kind: ""
    hide_dirs: bool = False
    problem: str = ""
