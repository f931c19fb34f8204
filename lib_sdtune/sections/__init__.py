"""The settings of every run: each with its default, its limits and its advice, declared once, one section a file.

JSON, the command line's `--set`, the tab's fields, the API's schema and the README's table are all read off these
classes (`lib_sdtune.declaration`); `lib_sdtune.config` puts them together. What one method alone needs is declared
beside that method. Names are sd-scripts' where it has one, because its users know them.
"""
