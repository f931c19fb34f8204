from modules.fifo_lock import FIFOLock

queue_lock = FIFOLock()


def wrap_queued_call(func):
    """As the page calls what needs the model."""
    def f(*arguments, **named):
        with queue_lock:
            return func(*arguments, **named)

    return f
