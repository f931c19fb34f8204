"""A small Python beside ours that can be ended, as a thread inside an expression that never ends cannot."""

import json
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from lib_sdtune.errors import RunError

START = 30.0  # seconds that a busy machine may take to start it
IDLE = 60.0  # seconds after which it goes


class Program:
    """Started when first asked; asked by one at a time."""

    def __init__(self):
        self.turn, self.process, self.used, self.timer = threading.Lock(), None, 0.0, None

    def ask(self, question, limit):
        """The answer to a list of texts; None if it does not come within `limit` seconds. RunError where no Python can be started."""
        with self.turn:
            if self.process is None or self.process.poll() is not None:
                self.start()
            try:
                self.process.stdin.write(json.dumps(question) + "\n")
                self.process.stdin.flush()
            except OSError:  # it died just now
                self.end()
                return None
            self.used = time.monotonic()
            answer = self.line(limit)
            if answer is None:
                self.end()
            return answer and json.loads(answer)

    def start(self):
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("matcher.py"))]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                            encoding="ascii", creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
        except OSError as error:
            raise RunError(f"Regular expressions are matched by a second Python, and {sys.executable} can't be started "
                           f"({error.strerror or error}).") from error
        self.answers = queue.SimpleQueue()
        threading.Thread(target=self.listen, args=(self.process.stdout, self.answers), name="sdtune-expressions", daemon=True).start()
        if self.line(START) is None:
            self.end()
            raise RunError(f"Regular expressions are matched by a second Python, and {sys.executable} does not answer.")
        self.go_when_idle(IDLE)

    def listen(self, lines, answers):
        with suppress(ValueError, OSError):  # closed under our hands
            for line in lines:
                answers.put(line)
        answers.put(None)

    def line(self, limit):
        try:
            return self.answers.get(timeout=limit)
        except queue.Empty:
            return None

    def go_when_idle(self, seconds):
        self.timer = threading.Timer(seconds, self.idle)
        self.timer.daemon = True
        self.timer.start()

    def idle(self):
        with self.turn:
            rest = self.used + IDLE - time.monotonic()
            if self.process is None or threading.current_thread() is not self.timer:
                return
            if rest > 0:
                self.go_when_idle(rest)
            else:
                self.end()

    def end(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()
        with suppress(OSError):
            process.stdin.close()


program = Program()
