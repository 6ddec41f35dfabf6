"""`python -m api.cli` is `starferry`."""

from api.cli import main

if __name__ == "__main__":
    main()
