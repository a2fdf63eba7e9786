"""Parts that come in several kinds, in a tree and by themselves."""

from typing import ClassVar, Literal

import pytest
from pydantic import Field, SerializeAsAny, ValidationError

from tad_blockdrop.config import (
    AttentionNeckConfig,
    DetectorConfig,
    MaxNeckConfig,
    NeckConfig,
    VideoMAEConfig,
)
from tad_blockdrop.config.base import Config, Variant


class Shape(Variant):
    training_keys: ClassVar = ("size",)
    size: int = Field(1, ge=1)


class Square(Shape):
    training_keys: ClassVar = (*Shape.training_keys, "speed")
    kind: Literal["square"] = "square"
    tilt: float = 0.0
    speed: float = 0.0


class Circle(Shape):
    kind: Literal["circle"] = "circle"
    blurred: bool = False


class Drawing(Config):
    shape: SerializeAsAny[Shape] = Square()


def drawn(**shape: object) -> Shape:
    return Drawing.model_validate({"shape": shape}).shape


def test_the_kind_that_is_named_is_chosen_and_without_a_name_the_first() -> None:
    assert drawn(kind="circle", blurred=True) == Circle(blurred=True)
    assert drawn(kind="square", size=3) == Square(size=3)
    assert drawn(size=2, tilt=0.5) == Square(size=2, tilt=0.5)
    assert Drawing().shape == Square()


def test_a_kind_is_known_once_it_is_defined() -> None:
    with pytest.raises(ValidationError, match="there is no kind 'star'; choose one of"):
        drawn(kind="star", points=7)

    class Star(Shape):
        kind: Literal["star"] = "star"
        points: int = 5

    try:
        assert drawn(kind="star", points=7) == Star(points=7)
        assert drawn(size=2) == Square(size=2)
    finally:
        del Shape.kinds["star"]


@pytest.mark.parametrize("kind", ["triangle", 3, None, ["square"]])
def test_an_unknown_kind_is_told_where_it_stands_and_what_there_is(kind: object) -> None:
    with pytest.raises(ValidationError) as caught:
        drawn(kind=kind)
    (error,) = caught.value.errors()
    assert error["loc"] == ("shape",)
    assert f"there is no kind {kind!r}; choose one of square, circle" in error["msg"]


def test_keys_that_only_other_kinds_have_are_left_out() -> None:
    """As when an environment that names a kind is merged over a base that states another's."""
    assert drawn(kind="circle", size=4, tilt=0.5) == Circle(size=4)
    assert drawn(kind="square", blurred=True) == Square()


@pytest.mark.parametrize("kind", ["square", "circle"])
def test_unknown_keys_and_bad_values_are_refused_with_their_place(kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        drawn(kind=kind, colour="red", size=0)
    found = {error["loc"]: error["type"] for error in caught.value.errors()}
    assert found == {
        ("shape", "colour"): "extra_forbidden",
        ("shape", "size"): "greater_than_equal",
    }


def test_a_kind_by_itself_takes_nothing_of_another() -> None:
    with pytest.raises(ValidationError, match="tilt"):
        Circle.model_validate({"tilt": 0.5})
    with pytest.raises(ValidationError, match="kind"):
        Circle.model_validate({"kind": "square"})


def test_what_is_written_comes_back() -> None:
    drawing = Drawing(shape=Circle(size=2, blurred=True))
    written = drawing.model_dump(mode="json")
    assert written == {"shape": {"size": 2, "kind": "circle", "blurred": True}}
    assert Drawing.model_validate(written) == drawing
    assert Drawing.model_validate_json(drawing.model_dump_json()) == drawing


def test_a_part_is_trained_as_asked_and_stays_what_it_is() -> None:
    given = Square(size=1, tilt=0.5, speed=1.0)
    assert given.for_training(Square(size=3, tilt=0.1, speed=2.0)) == Square(
        size=3, tilt=0.5, speed=2.0
    )
    assert given.for_training(Circle(size=3, blurred=True)) == Square(size=3, tilt=0.5, speed=1.0)


def test_parts_do_not_share_their_kinds() -> None:
    assert {"attention", "max"} <= set(NeckConfig.kinds)
    assert set(Shape.kinds) == {"square", "circle"}


def test_parts_of_the_detector() -> None:
    """A checkpoint from before there were kinds names none; ``pyramid.heads`` is attention's."""
    old = {"backbone": {"width": 24, "heads": 3}, "pyramid": {"width": 16, "heads": 2}}
    found = DetectorConfig.model_validate(old)
    assert found.backbone == VideoMAEConfig(width=24, heads=3)
    assert found.pyramid == AttentionNeckConfig(width=16, heads=2)
    merged = {"pyramid": {"kind": "max", "width": 16, "heads": 2, "stem_blocks": 0}}
    assert DetectorConfig.model_validate(merged).pyramid == MaxNeckConfig(width=16)
    with pytest.raises(ValidationError) as caught:
        DetectorConfig.model_validate({"pyramid": {"kind": "max", "hands": 2}})
    assert [error["loc"] for error in caught.value.errors()] == [("pyramid", "hands")]
