"""The WebUI's own trainers, ours, and the floor, measured inside the real WebUI."""
