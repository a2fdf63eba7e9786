"""What ``kedro review`` says where it cannot begin."""

import shutil
import socket

import pytest
from kedro.io import DatasetError
from tests.review.conftest import VERSION

from tad_blockdrop.datasets.corrections import CorrectionsDataset
from tad_blockdrop.review.journal import journal_file
from tad_blockdrop.review.loading import NoPredictionsError, load_predictions
from tad_blockdrop.review.session import ReviewError, review_experiment


def test_an_experiment_without_predictions_is_told_with_those_that_have_some(reviewed):
    with pytest.raises(NoPredictionsError, match=r"no experiment '\.\./mine'.*found: mine"):
        load_predictions(reviewed.data, "../mine")
    globals_ = reviewed.data.parent / "conf/own/globals.yml"
    globals_.parent.mkdir(parents=True)
    globals_.write_text("experiment: people")
    with pytest.raises(NoPredictionsError, match=(
        r"make some with kedro run --env own --pipeline predict --params predict\.videos=<folder>$"
    )):  # fmt: skip
        load_predictions(reviewed.data, "people")


def test_predictions_that_were_cut_short_are_passed_over(reviewed):
    reviewed.write("predictions.parquet", lambda file: None, version="2027-01-01T00.00.00.000Z")
    assert load_predictions(reviewed.data, "mine")[1] == VERSION
    shutil.rmtree(reviewed.data / "07_model_output" / "mine" / "predicted_videos.parquet")
    with pytest.raises(NoPredictionsError, match="were cut short: make them again with kedro run"):
        load_predictions(reviewed.data, "mine")


def test_of_a_first_prediction_that_was_cut_short_nothing_is_read(reviewed):
    shutil.rmtree(reviewed.data / "07_model_output" / "mine" / "predicted_truth.json")
    with pytest.raises(NoPredictionsError, match="were cut short: make them again with kedro run"):
        load_predictions(reviewed.data, "mine")


def test_a_port_that_is_taken_is_told(reviewed):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ReviewError, match=rf"port {port} cannot be used .* with --port"):
            review_experiment(reviewed.data, "mine", "ann", port, lambda address: None)


def test_corrections_of_other_experiments_are_named_where_there_are_none(reviewed):
    reviewed.journal.parent.mkdir(parents=True)
    reviewed.journal.touch()
    dataset = CorrectionsDataset(filepath=str(journal_file(reviewed.data, "other")))
    with pytest.raises(DatasetError) as error:
        dataset.load()
    assert "found those of: mine" in str(error.value)
    assert "--env" in str(error.value)
