"""What all objects of a model have in common: an assignment takes effect in the model, or says what does."""

from __future__ import annotations

from types import MemberDescriptorType

from unlite.errors import InvalidTypeError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import ClassVar


class Entity:
    """An object that stands for a place in a model. Only its assignable properties can be assigned."""

    __slots__ = ()
    FORMS: ClassVar[dict[str, str]] = {}
    """Attribute that cannot be assigned -> the form that does what was probably meant."""

    def __setattr__(self, name: str, value: object) -> None:
        found = getattr(type(self), name, None)
        if isinstance(found, property) and found.fset is not None:
            found.fset(self, value)
        elif name.startswith("_") or (isinstance(found, MemberDescriptorType) and not hasattr(self, name)):
            object.__setattr__(self, name, value)
        else:
            raise self._refusal(name, "assigned")

    def __delattr__(self, name: str) -> None:
        raise self._refusal(name, "deleted")

    def _refusal(self, name: str, what: str) -> InvalidTypeError:
        kind = type(self)
        properties = (each for each in dir(kind) if not each.startswith("_"))
        assignable = [each for each in properties if getattr(getattr(kind, each), "fset", None) is not None]
        way = self.FORMS.get(name, f"Assignable are: {', '.join(assignable) or 'none of its attributes'}.")
        return InvalidTypeError(
            f"{kind.__name__}.{name} cannot be {what}.", path=getattr(self, "path", None) or name, hint=way
        )
