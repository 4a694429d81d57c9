"""Retention: each event and each result of a tool states if its long strings can stay in memory."""

from enum import Enum
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Keep(Enum):
    """The long strings of a record, as the views of an agent that goes on are shown them.

    FULL: as they are. DROP: `APART` in the place of each; they are not read. Each view states what it keeps of what it
    is shown.
    """

    FULL = "full"
    DROP = "drop"


class Record(BaseModel):
    """A part of an agent log. Each class states if its long strings can be kept.

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


_NO_NAMES: set[str] = set()
