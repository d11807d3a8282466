"""The window functions of FROM: one module each, named as in SQL (lower case).

A module has `ARGUMENTS`, the names of the intervals in the order in which they are written, and
`window(arguments)`, which makes the frozen description from those given, in µs.
"""
