"""`python -m streamsql` is the command `streamsql`."""

from __future__ import annotations

from streamsql.cli import main

if __name__ == "__main__":
    main()
