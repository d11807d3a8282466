"""The interactive shell, and how results, progress and errors are shown; the command line shares them."""
