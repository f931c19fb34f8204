"""What the WebUI calls of us as its extension: the tab, the settings, the API, and an axis of its X/Y/Z plot."""
