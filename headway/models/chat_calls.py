"""The tool calls of a streamed Chat Completions reply, put together from their pieces.

The API numbers the calls of a reply and names each one once. Servers leave numbers and ids out, repeat them for every
call, give each piece a new id, or send a name in pieces. The rule for all of them: a piece continues the call of its
place, unless it names a tool while that call is named already and has all its arguments, or has another id.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from headway.models.lenient_json import MAX_CALLS, parsed, whole_texts

Place = tuple[int, int]
"""A choice and a call within it."""


@dataclass
class _Call:
    """A call that is being put together. Pieces are joined at the end: to add to a long text copies all of it."""

    id: Any = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)

    def take(self, piece: dict[str, Any]) -> int:
        """Add a piece, and return the number of characters that it adds."""
        name, arguments = _name_in(piece), _function_in(piece).get("arguments")
        if name != self.name and not self.arguments:
            self.name += name
        text = arguments if isinstance(arguments, str) else orjson.dumps(whole_texts(arguments)).decode()
        if arguments is not None and text:
            self.arguments.append(text)
        self.id = self.id or piece.get("id")
        self.rest |= {key: value for key, value in piece.items() if key not in {"index", "id", "function"} and value}
        return len(text) + len(name)

    @property
    def has_all(self) -> bool:
        """True if its arguments are whole. Parses them only where they end as an object does."""
        last = self.arguments[-1].rstrip() if self.arguments else ""
        return last.endswith("}") and isinstance(parsed("".join(self.arguments)), dict)

    @property
    def whole(self) -> dict[str, Any]:
        given = {} if self.id is None else {"id": self.id}
        return self.rest | given | {"function": {"name": self.name, "arguments": "".join(self.arguments)}}


class CallPieces:
    """Takes the pieces of all calls of a reply in order. Of too many calls it keeps one more than are taken."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, _Call]] = []
        self._places: dict[Place, _Call] = {}
        self._looks = 0

    def take(self, pieces: list[dict[str, Any]], choice: int) -> int:
        """Add the parts of one chunk for the calls of a choice, and return the number of characters that it adds."""
        added = 0
        for number, piece in enumerate(pieces):
            # More than one in a chunk are as many calls, also where they have no number.
            place = number if len(pieces) > 1 else None
            call = self._call_of(piece, choice, place)
            if call is None:
                break
            added += call.take(piece)
        return added

    def of(self, choice: int) -> list[dict[str, Any]]:
        """The calls of a choice, as they would have come whole."""
        return [call.whole for place, call in self._calls if place == choice]

    def _call_of(self, piece: dict[str, Any], choice: int, place: int | None) -> _Call | None:
        index = piece.get("index")
        index = index if isinstance(index, int) else place
        known = self._places.get((choice, index)) if index is not None else self._last(choice, piece)
        if known is not None and not self._begins(piece, known):
            return known
        if len(self._calls) > MAX_CALLS:
            return None
        call = _Call()
        self._calls.append((choice, call))
        if index is not None:
            self._places[choice, index] = call
        return call

    def _last(self, choice: int, piece: dict[str, Any]) -> _Call | None:
        """The call that a piece without a number continues: the one with its id, else the newest."""
        calls = [call for place, call in self._calls if place == choice]
        id_ = piece.get("id")
        same = next((call for call in reversed(calls) if id_ and call.id == id_), None)
        return same or (calls[-1] if calls else None)

    def _begins(self, piece: dict[str, Any], known: _Call) -> bool:
        """True if a piece at the place of a known call begins another one."""
        if not (_name_in(piece) and known.name):
            return False
        id_ = piece.get("id")
        if id_ and known.id and id_ != known.id:
            return True
        # Looked at a few times only: servers that repeat the name do so at every piece.
        self._looks += 1
        return self._looks <= MAX_CALLS and known.has_all


def _function_in(piece: dict[str, Any]) -> dict[str, Any]:
    function = piece.get("function")
    return function if isinstance(function, dict) else {}


def _name_in(piece: dict[str, Any]) -> str:
    name = _function_in(piece).get("name")
    return name if isinstance(name, str) else ""
