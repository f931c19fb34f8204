"""Settings of other programs as CONFIG: read whole, translated by tables, and every difference told by its key.

`dialects` holds a file for each kind of file; `sd_scripts` the table that most of them lead to. Whatever a file does
not say is what that program does by itself, never what SD Tune would do.
"""
