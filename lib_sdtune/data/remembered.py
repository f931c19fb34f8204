"""What `examine` found, kept while the program lives: Check, Start and the run itself look at the same pictures.

A file counts as the same while its path, size, time and number on the disk are. Disks tell times in steps of up to two
seconds, so what was written a moment ago is not remembered yet.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import replace

from lib_sdtune.data.picture import examine

MOST = 50_000  # pictures, of about a kilobyte each
YOUNG = 2_000_000_000  # nanoseconds

_known: OrderedDict = OrderedDict()
_turn = threading.Lock()


def examined(path, look=None):
    """As `picture.examine`, at the cost of a question to the disk for a picture that has not changed since."""
    before = mark(path)
    with _turn:
        facts, looked = _known.get((path, before), (None, None))
        if facts is not None:
            _known.move_to_end((path, before))
    if facts is not None and look in (None, looked):
        return facts if look else replace(facts, seen=None)
    facts = examine(path, look)
    if before and mark(path) == before and abs(time.time_ns() - before[1]) > YOUNG:
        remember((path, before), facts, look)
    return facts


def mark(path):
    """What changes when the file does; None if it can't be told."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_size, seen.st_mtime_ns, seen.st_ino


def remember(key, facts, look):
    with _turn:
        _known[key] = facts, look
        while len(_known) > MOST:
            _known.popitem(last=False)
