"""What a thread has borrowed of the WebUI.

While a run lets others use the model, one of ours may be among them: a comparison of files, class pictures, captions.
Each thread has a borrowing of its own, so that neither takes the other's for its own.
"""

import threading
from collections.abc import Collection
from typing import Any


class Borrowed(threading.local):
    """sd_model, loaded_model: the WebUI's model and what it is lent as, None while the calling thread has none. bare:
    the layers around the training, put_aside: the innermost of them. idle: parts that no step asks for. logged: what
    was said once.
    """

    def __init__(self) -> None:
        self.sd_model: Any = None
        self.loaded_model: Any = None
        self.bare: Any = None
        self.put_aside: Any = None
        self.parameters: Any = None
        self.lent_parameters: Any = None
        self.idle: Collection[str] = ()
        self.logged: set[str] = set()
