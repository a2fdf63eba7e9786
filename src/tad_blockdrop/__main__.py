"""``python -m tad_blockdrop``: ``kedro run`` of the installed package, where its conf lies.

Started by a launcher, as ``torchrun ... -m tad_blockdrop``, the first process is the run and the
others share its work (docs/scale.md).
"""

import sys

from kedro.framework.cli.project import run
from kedro.framework.project import configure_project

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel import launcher


def main() -> None:
    """Run pipelines; takes the options of ``kedro run``."""
    if not launcher.launched():
        launcher.forget()  # one process of a launcher is a run like any other
        _run()
        return
    from tad_blockdrop.parallel.engines.serving import take_part

    try:
        take_part(_run)
    except BlockDropError as error:
        sys.exit(f"Error: {error}")


def _run() -> None:
    configure_project("tad_blockdrop")
    run(prog_name="run")  # the section of a --config file is looked up by this name


if __name__ == "__main__":
    main()
