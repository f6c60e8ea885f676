"""One family of exceptions, each named for what was wrong with the input.

Every message is one sentence that names the offending value, its position and what was expected. The command line
prints exactly that sentence and exits with status 2. Anything that is not an `ArchcastError` is a defect of archcast.
"""

from __future__ import annotations


class ArchcastError(Exception):
    """Base of all errors that archcast raises about its input."""


class InvalidArchitectureError(ArchcastError, ValueError):
    """An architecture is malformed, or does not belong to the search space it was given to."""


class UnknownNameError(ArchcastError, LookupError):
    """No space, encoder, predictor, table, metric or column has the requested name."""


class InvalidDataError(ArchcastError, ValueError):
    """Numbers that cannot be used: NaN or infinite targets, too few rows, contradicting shapes or parameters."""


class TableFormatError(ArchcastError, ValueError):
    """A file is not a readable benchmark table: empty, truncated, of another format or of a newer version."""


class ModelFormatError(ArchcastError, ValueError):
    """A file is not a readable saved predictor: truncated, tampered with, or written by a newer version."""


class JournalError(ArchcastError, RuntimeError):
    """A journal of trainings cannot be opened or written: locked by another process, damaged, or on a full disk."""


class ExecutorError(ArchcastError, RuntimeError):
    """Trainings cannot run where they should: the cluster cannot be reached, or no worker starts on it."""


class UnsafeFileError(ArchcastError, ValueError):
    """A file asks to run code while it is being read. Nothing of it was executed."""


class NoMorphismError(ArchcastError, ValueError):
    """No change of weights makes one network compute what another does."""


class ExhaustedSpaceError(ArchcastError, RuntimeError):
    """A search has proposed every architecture that its space or pool holds."""


class MissingDependencyError(ArchcastError, ImportError):
    """An optional dependency is needed for what was asked, and is not installed."""


class PredictorFailedError(ArchcastError, RuntimeError):
    """A predictor failed while it was being evaluated; the message names it, the cause is chained."""


class SearcherFailedError(ArchcastError, RuntimeError):
    """A searcher failed while it was being replayed; the message names it, the cause is chained."""


class StudyMismatchError(ArchcastError, ValueError):
    """A study was opened with settings that are not its own: another space, metric, searcher ..."""


class StorageUnavailableError(ArchcastError, RuntimeError):
    """The database of a study does not answer, refuses, or is not there any more."""


class TrainingsFailError(ArchcastError, RuntimeError):
    """One training after another of a study fails, or none gives the metric: going on would waste the budget."""
