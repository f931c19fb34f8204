"""SD Tune: fine-tuning inside the WebUI, on the checkpoint it already has loaded."""

import os

__version__ = "0.1.0"

# Intel's MKL otherwise splits a product among the threads by how busy they are, and a CPU run's last bits with it.
# It looks at its first product, later than torch is imported: in time in the WebUI too, where scripts load before
# models.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
