"""The tab: parameters on the left, the run on the right; the same in the WebUI and on its own."""
