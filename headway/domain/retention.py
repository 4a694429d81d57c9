"""Retention: each event and each result of a tool states how much of it an agent keeps in memory."""

from enum import Enum
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Keep(Enum):
    """The part of a record that is kept once the model has replied again. The whole of it stays in the log.

    FULL: all of it. NEWEST: all of it, of the newest record of its type. FACTS: what `facts` returns. DROP: nothing.
    """

    FULL = "full"
    NEWEST = "newest"
    FACTS = "facts"
    DROP = "drop"


class Record(BaseModel):
    """A part of an agent log. Each class states its kept part; none is kept by default.

    On the wire a field without a default is always there, and any other one where it differs from its default. Fields
    that this version does not know are ignored.
    """

    model_config = ConfigDict(frozen=True)

    keep: ClassVar[Keep]
    always: ClassVar[tuple[str, ...]] = ()
    """Fields that are on the wire with their default too."""
    _sparse: ClassVar[dict[str, Any]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "keep" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} does not state what is kept of it")
        optional = {name: field for name, field in cls.model_fields.items() if not field.is_required()}
        cls._sparse = {
            name: field.get_default(call_default_factory=True)
            for name, field in optional.items()
            if name not in cls.always
        }

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Self:
        """The record of a line's content.

        Raises:
            ValidationError: The line says something else.
        """
        record = cls.__pydantic_validator__.validate_python(fields)
        # Nothing asks which fields were given; a set of names for each record would double what it takes.
        object.__setattr__(record, "__pydantic_fields_set__", _NO_NAMES)
        return record  # type: ignore[no-any-return]

    def wire(self) -> dict[str, Any]:
        """The record as JSON."""
        data = self.model_dump(mode="json")
        for name, default in self._sparse.items():
            if getattr(self, name) == default:
                data.pop(name, None)
        return data

    def kept(self) -> Self | None:
        """The part that is kept."""
        match self.keep:
            case Keep.FULL | Keep.NEWEST:
                return self
            case Keep.FACTS:
                return self.facts()
            case Keep.DROP:
                return None

    def facts(self) -> Self | None:
        """The record without words; None where no fact is in it."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its facts are")


_NO_NAMES: set[str] = set()
