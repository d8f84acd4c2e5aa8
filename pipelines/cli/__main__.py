"""`python -m pipelines.cli`: the command `flexsync`, for a Python that has no scripts on its path."""

from pipelines.cli.main import main

if __name__ == "__main__":
    main()
