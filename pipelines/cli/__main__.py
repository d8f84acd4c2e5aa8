"""`python -m pipelines.cli`: the command `flexsync` without its script on the path."""

from pipelines.cli.main import main

if __name__ == "__main__":
    main()
