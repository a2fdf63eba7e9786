"""A run that is stopped says how to go on, which is not the same for all pipelines."""

import signal

import click
import pytest

from tad_blockdrop.hooks.signals import StopSignalsWatch

RESUMED = "--only-missing-outputs goes on from it"
AGAIN = "stopped by SIGTERM. Run the same command again"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (None, RESUMED), (["__default__"], RESUMED), (["data", "compress"], RESUMED),
        (["learn"], AGAIN), (["predict"], AGAIN),
    ],
)  # fmt: skip
def test_only_a_job_is_resumed_by_what_is_missing(
    names: list[str] | None, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of other pipelines it would take the last run's results for those of this one."""
    hook = StopSignalsWatch()
    with click.Context(click.Command("run")):
        hook.before_pipeline_run({"pipeline_names": names})
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    assert told in capfd.readouterr().err
