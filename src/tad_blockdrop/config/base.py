"""The base classes of all configuration: frozen, and they refuse keys they do not know."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    model_validator,
)


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"[{pair[0]}, {pair[1]}] must not fall: give the lower number first")
    return pair


_Positive = Annotated[float, Field(gt=0)]
_PositiveShare = Annotated[float, Field(gt=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(_rising)]
PositiveRange = Annotated[tuple[_Positive, _Positive], AfterValidator(_rising)]
ShareRange = Annotated[tuple[_PositiveShare, _PositiveShare], AfterValidator(_rising)]
EXPERIMENT = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"  # their names, which are those of folders
Experiment = Annotated[str, Field(pattern=EXPERIMENT)]


class Config(BaseModel):
    """A group of settings, immutable once validated; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def refuse_remainder(self, key: str, of: str) -> None:
        """Raise ValueError unless the setting ``key`` is a multiple of the setting ``of``."""
        value, divisor = getattr(self, key), getattr(self, of)
        if value % divisor:
            raise ValueError(f"{key} {value} is not a multiple of {of} {divisor}")


class Variant(Config):
    """A part that comes in several kinds. Its direct subclass is the part; those below are kinds.

    A kind states its name as the default of ``kind``, and is known from then on: a mapping that is
    validated as the part becomes the kind that it names, or without a name the first one defined.
    Keys that only other kinds have are left out, since ``conf/base`` states those of its own kind
    and environments are merged over it.
    """

    kinds: ClassVar[dict[str, type["Variant"]]]
    # Settings of a training only: neither the network nor what its weights mean depends on them.
    training_keys: ClassVar[tuple[str, ...]] = ()
    kind: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Begin a part, or add a kind to it."""
        if Variant in cls.__bases__:
            cls.kinds = {}
        elif isinstance(name := cls.model_fields["kind"].default, str):
            cls.kinds[name] = cls

    def for_training(self, asked: "Variant") -> Self:
        """The same part, to be trained with those of its ``training_keys`` that ``asked`` has."""
        shared = [key for key in self.training_keys if key in type(asked).model_fields]
        return self.model_copy(update={key: getattr(asked, key) for key in shared})

    @model_validator(mode="wrap")
    @classmethod
    def _choose(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if Variant not in cls.__bases__ or not isinstance(value, Mapping):
            return handler(value)
        name = value.get("kind", next(iter(cls.kinds)))
        kind = cls.kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ValueError(f"there is no kind {name!r}; choose one of {', '.join(cls.kinds)}")
        of_others = {key for other in cls.kinds.values() for key in other.model_fields}
        of_others -= kind.model_fields.keys()
        chosen = kind.model_validate({k: v for k, v in value.items() if k not in of_others})
        return chosen  # type: ignore[return-value]  # a subclass of cls
