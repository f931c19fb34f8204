from collections import defaultdict

originals = defaultdict(dict)


def patch(key, obj, field, replacement):
    assert (obj, field) not in originals[key]
    originals[key][obj, field] = getattr(obj, field)
    setattr(obj, field, replacement)
    return originals[key][obj, field]


def undo(key, obj, field):
    setattr(obj, field, originals[key].pop((obj, field)))


def original(key, obj, field):
    return originals[key].get((obj, field))
