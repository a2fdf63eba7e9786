"""``python -m tad_blockdrop``: ``kedro run`` of the installed package, where its conf lies."""

from kedro.framework.cli.project import run
from kedro.framework.project import configure_project


def main() -> None:
    """Run pipelines; takes the options of ``kedro run``."""
    configure_project("tad_blockdrop")
    run(prog_name="run")  # the section of a --config file is looked up by this name


if __name__ == "__main__":
    main()
