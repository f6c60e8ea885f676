"""The sources of a study: stored by where they are read and what they held, and read again when the study goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidDataError, StudyMismatchError
from ..evaluation.sources import read_sources
from ..predictors import Predictor, Source


@dataclass(frozen=True)
class StudySource:
    """A source of a study.

    Parameters
    ----------
    name : str
        `TABLE:METRIC[@EPOCH]` or the file of a predictor; of what was given as an object its name.
    digest : str
        Of its content when the study was made.
    is_read : bool
        Whether the name says where it is read.
    given : Source, optional
        The source itself, where it is known already.
    """

    name: str
    digest: str
    is_read: bool
    given: Source | None = None

    @classmethod
    def of(cls, item: Any) -> StudySource:
        """Return a source from a text, or whatever `archcast.Source` stands for; errors are those of `read_sources`."""
        (source,) = read_sources([item], higher_is_better=True)
        text = isinstance(item, str)
        return cls(item if text else source.name, source.digest, text, source)

    @property
    def stored(self) -> dict[str, Any]:
        """How it stands in the settings of a study."""
        return {"source": self.name, "digest": self.digest, "is_read": self.is_read}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> StudySource:
        """Return what `stored` gave, not yet read."""
        return cls(stored["source"], stored["digest"], stored["is_read"])

    def load(self) -> Source:
        """Return the source, reading it if need be.

        Raises
        ------
        UnknownNameError
            If its table or metric does not exist any more.
        InvalidDataError
            If it was given as an object, and has to be given again.
        StudyMismatchError
            If it holds something else than when the study was made.
        """
        if self.given is not None:
            return self.given
        if not self.is_read:
            raise InvalidDataError(
                f"source {self.name!r} was given to the study as an object and cannot be read again: give all sources "
                "when opening the study"
            )
        (source,) = read_sources([self.name], higher_is_better=True)
        if source.digest != self.digest:
            raise StudyMismatchError(
                f"source {self.name!r} does not hold what it held when the study was made; give a new study another "
                "name"
            )
        return source


def study_sources(given: Any) -> tuple[StudySource, ...]:
    """Return the sources of a study from a list of what `StudySource.of` takes, or of those that are ready.

    Raises
    ------
    UnknownNameError
        If a table or metric does not exist.
    InvalidDataError
        If this is no list, or an item is no good source.
    ModelFormatError
        If a file is no saved predictor.
    """
    if isinstance(given, (str, Source, Predictor, Mapping)) or not isinstance(given, Iterable):
        raise InvalidDataError(f"sources must be a list, got {type(given).__name__}")
    return tuple(item if isinstance(item, StudySource) else StudySource.of(item) for item in given)


def names_of(stored: Iterable[Mapping[str, Any]]) -> str:
    """Return the names of stored sources for people, with the beginning of their digests."""
    return ", ".join(f"{item['source']} ({item['digest'][:8]})" for item in stored) or "none"
