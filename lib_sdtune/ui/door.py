"""What the tab is told about the house it stands in."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Door:
    """app: the `lib_sdtune.app.App` whose runs and services the tab shows.

    home: "webui" or "standalone". key: secret that the tab's calls to the API carry, so that whoever was shown the tab
    may watch its runs. defaults: function that gives the settings which suit the loaded model, as a nested dict laid
    under the user's. hide_dirs: server folders are not shown or chosen (`--hide-ui-dir-config`). problem: a sentence
    that is shown instead of the form when training cannot work here at all.
    """

    app: Any = None
    home: str = "standalone"
    key: str = ""
    defaults: Any = field(default=dict)
    hide_dirs: bool = False
    problem: str = ""
