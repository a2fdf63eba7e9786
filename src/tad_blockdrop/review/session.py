"""One sitting of ``kedro review``: what it opens, and that it can be opened."""

from collections.abc import Callable
from pathlib import Path

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.journal import journal_file, open_journal
from tad_blockdrop.review.loading import copies_folder, load_predictions


class ReviewError(BlockDropError):
    """The pages cannot be served."""


def review_experiment(
    data: Path, experiment: str, who: str, port: int, ready: Callable[[str], object]
) -> None:
    """Serve the newest predictions of an experiment until interrupted.

    ``data``: the project's folder of that name; ``ready`` is told the address. Raises ReviewError,
    NoPredictionsError, JournalError, DamagedError.
    """
    try:
        from tad_blockdrop.review.server import Review, open_server
    except ModuleNotFoundError as error:
        raise ReviewError(
            f"kedro review needs {error.name}: install it with pip install -e '.[review]'"
        ) from error
    predictions, version = load_predictions(data, experiment)
    file = journal_file(data, experiment)
    with open_journal(file, who, predictions.model["weights"], version) as journal:
        review = Review(predictions, version, copies_folder(data, experiment), journal)
        try:
            serving = open_server(review, port)
        except OSError as error:
            raise ReviewError(
                f"port {port} cannot be used ({error.strerror}): choose another with --port"
            ) from error
        ready(serving.address)
        serving.run()
