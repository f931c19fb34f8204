"""The Stable Diffusion WebUI as host; the only place that imports its `modules`."""
