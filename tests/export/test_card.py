"""The model card says what was measured and escapes what others wrote."""

from dataclasses import replace

import yaml

from tad_blockdrop.detector.decisions import Decisions, Expected, Point, Rate
from tad_blockdrop.export.bundle import read_export, write_export
from tad_blockdrop.export.card import CARD_FILE, model_card

PARITY = {"windows": 12, "onnx_logits": 3.3e-6, "same": 0.9999, "detections": 370}
RATES = Expected(
    precision=Rate(0.83, 0.71, 0.9), recall=Rate(0.6, None, None), ratio=Rate(0.72, None, None)
)
POINT = Point(
    purpose="f1", asked=None, thresholds={"run": 0.25}, expected=RATES, by_class={"run": RATES}
)
DECIDED = Decisions(split="holdout", videos=7, actions=42, tiou=0.5, points=[POINT])


def test_numbers_stand_with_their_intervals_and_videos(checkpoint):
    made = replace(checkpoint, decisions=DECIDED, metrics={"holdout_average": 61.25})
    card = model_card(made, PARITY)
    assert "7 held-out videos" in card
    assert "83 % [71, 90] of the detections shown were right" in card
    assert "The average mAP there was 61.2 %" in card
    assert "| run | 83 % [71, 90] | not stated | 60 % | not stated | 0.250 |" in card
    assert f"| jump |{' not stated |' * 4} 0.200 |" in card
    assert "12 windows: logits differ by at most 3.3e-06, and 99.99 % of 370" in card
    assert "(`data.provenance`): made up." in card
    trained = replace(made, decisions=DECIDED.model_copy(update={"split": "train"}))
    assert "others will come out worse" in model_card(trained, PARITY)


def test_rates_say_of_how_many_they_are(checkpoint):
    counted = RATES.model_copy(update={"shown": 24, "actions": 31})
    point = POINT.model_copy(update={"expected": counted, "by_class": {"run": counted}})
    decided = DECIDED.model_copy(update={"points": [point]})
    card = model_card(replace(checkpoint, decisions=decided), PARITY)
    assert "83 % [71, 90] of the 24 detections shown were right" in card
    assert "| class | precision | detections | recall | actions | shown from score |" in card
    assert "| run | 83 % [71, 90] | 24 | 60 % | 31 | 0.250 |" in card


def test_nothing_is_promised_that_was_not_measured(checkpoint):
    card = model_card(replace(checkpoint, lineage={}), PARITY)
    assert "was not measured" in card
    assert "(`data.provenance`): not stated." in card


def test_foreign_text_stays_text(checkpoint):
    evil = "<script>a|b</script>\n# [x](y) *z*"
    lineage = {"dataset": evil, "provenance": "---\nlicense: mit"}
    card = model_card(replace(checkpoint, classes=(evil, "jump"), lineage=lineage), PARITY)
    _, front, text = card.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert (metadata["license"], metadata["training_data"]) == ("unknown", "--- license: mit")
    assert metadata["model_name"] == " ".join(evil.split())
    assert "<script>" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| &lt;script")]
    assert row.count("|") - row.count("\\|") == 7
    assert "\\[x\\](y) \\*z\\*" in row


def test_the_card_is_a_file_of_the_export(checkpoint, exported, tmp_path):
    card = model_card(checkpoint, PARITY)
    write_export(replace(exported, card=card), tmp_path / "model")
    assert (tmp_path / "model" / CARD_FILE).read_text() == card
    assert read_export(tmp_path / "model").card == card
    write_export(exported, tmp_path / "old")
    assert read_export(tmp_path / "old").card is None
