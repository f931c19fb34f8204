"""Tools for finished LoRA files: another rank, several into one or into a checkpoint, out of two checkpoints.

Each is a function of plain values with a `progress(done, total, text)` callback, and gives the results of sd-scripts'
tool of that name to float noise. Tensors are read one by one, so that memory stays below twice the checkpoint's size.
"""
