registered = []


def on_ui_tabs(callback, *, name=None):
    registered.append(("ui_tabs", callback))


def on_ui_settings(callback, *, name=None):
    registered.append(("ui_settings", callback))


def on_app_started(callback, *, name=None):
    registered.append(("app_started", callback))


def on_before_ui(callback, *, name=None):
    registered.append(("before_ui", callback))
