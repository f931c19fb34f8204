"""The other program: a line of JSON [pattern, new, text] in, a line {"text"} or {"wrong", "where"} out. It imports nothing of ours."""

import json
import re
import sys

MEMORY = 1 << 30  # bytes that an expression may make this program need
LONGEST = 1 << 16  # letters of a result


def frugal():
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # Windows has none, and some systems refuse
        pass


def answer(pattern, new, text):
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        return {"wrong": str(error) or type(error).__name__, "where": "pattern"}
    try:
        result = compiled.sub(new, text)
    except (re.error, IndexError, RecursionError, MemoryError) as error:
        return {"wrong": str(error) or type(error).__name__, "where": "new"}
    if len(result) > LONGEST:
        return {"wrong": f"the result is longer than {LONGEST} letters", "where": "new"}
    return {"text": result}


def main():
    frugal()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
