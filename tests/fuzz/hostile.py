"""Values that nobody means, put in the place of values that somebody does; and what must be true afterwards."""

import copy

from hypothesis import strategies as st

LONG = [" " * 30_000, "x" * 5000, "../" * 400, "~nosuchuser/x", "a\0b", "\ud800", "\r\n", "/", "//host/share/x", "C:\\train\\new",
        "<script>alert(1)</script>", "{{7*7}}", "%s%n", "1e999", "9" * 5000, ", " * 20_000, "(" * 3000, "CON", "..", ".txt", "é" * 300]
NUMBERS = [10**400, -10**400, 2**63, -1, 0, 1e308, float("inf"), float("-inf"), float("nan"), 1e-320]
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(NUMBERS), st.floats(), st.text(max_size=20),
                   st.sampled_from(LONG))
values = st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
                      max_leaves=5)


def nested(depth=5000):
    """Lists within lists."""
    data = []
    for _ in range(depth):
        data = [data]
    return data


def places(data, path=()):
    """The path of every value in plain data."""
    yield path
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from places(data[key], (*path, key))


@st.composite
def mutated(draw, data):
    """A copy of plain data in which one to three values are something else, gone, or joined by a key nobody knows."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(data) if path] or [()]))
        if not path:
            return draw(values)
        group = data
        for key in path[:-1]:
            group = group[key]
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if how == "replace":
            group[path[-1]] = draw(values)
        elif how == "remove":
            del group[path[-1]]
        elif isinstance(group, dict):
            group[draw(st.one_of(st.text(max_size=10), st.sampled_from(LONG)))] = draw(values)
    return data


def tree(folder):
    """{path: (size, time of the last change)} of everything below a folder."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) if not path.is_dir() else None for path in folder.rglob("*")}


def is_sentence(text):
    """Whether this is what a user may be shown: one line, not without end, no traceback."""
    text.encode()
    return isinstance(text, str) and text.strip() and "\n" not in text and len(text) < 2000 and "Traceback" not in text
