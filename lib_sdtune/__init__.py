"""SD Tune: fine-tuning inside the WebUI, on the checkpoint it already has loaded."""

__version__ = "0.1.0"
