"""Every error that Ato raises on purpose.

Each is an `AtoError` and the nearest builtin, so that `except KeyError` written for a plain
mapping keeps working:

    AtoError
    ├── ConfigError                a config key, value or file
    │   ├── UnknownKeyError        (KeyError, AttributeError)
    │   ├── ConfigTypeError        (TypeError)
    │   ├── ConfigValueError       (ValueError)
    │   ├── FrozenConfigError      (TypeError)
    │   ├── ConfigFileError        (ValueError)
    │   └── MissingFileError       (FileNotFoundError)
    ├── ScopeError                 a scope, its views, the command line
    │   ├── UnknownViewError       (LookupError)
    │   ├── ViewChainError         (ValueError)
    │   ├── DuplicateScopeError    (ValueError)
    │   └── CommandLineError       (ValueError)
    ├── FingerprintError           a value that has no fingerprint
    │   ├── UnsupportedValueError  (TypeError)
    │   ├── DepthError             (ValueError)
    │   └── SketchError            (ValueError)
    ├── TraceError                 what a tracer is asked to do
    │   ├── ScheduleError          (ValueError)
    │   └── NotAModuleError        (TypeError)
    └── StoreError                 the database of runs
        ├── NotADatabaseError      (ValueError)
        ├── SchemaVersionError     (RuntimeError)
        ├── NoActiveRunError       (RuntimeError)
        ├── MetricTypeError        (TypeError)
        ├── UnknownRunError        (LookupError)
        ├── UnknownMetricError     (LookupError)
        └── NoDatabaseError        (FileNotFoundError)

A message says what was wrong, where (file:line, key path, token), and what to do.
"""

from __future__ import annotations


class AtoError(Exception):
    """The parent of every error raised by Ato."""

    def __str__(self) -> str:
        # KeyError would show the message quoted and escaped, as if it were the missing key.
        return str(self.args[0]) if len(self.args) == 1 else Exception.__str__(self)


class ConfigError(AtoError):
    """A config key, value or file is wrong."""


class UnknownKeyError(ConfigError, KeyError, AttributeError):
    """A config has no such key; the message names the nearest one."""


class ConfigTypeError(ConfigError, TypeError):
    """A value, or a thing given as a config, has the wrong type."""


class ConfigValueError(ConfigError, ValueError):
    """A value has the right type and is still not possible."""


class FrozenConfigError(ConfigError, TypeError):
    """A frozen or immutable config was written to."""


class ConfigFileError(ConfigError, ValueError):
    """A config file cannot be read as what its extension says; the message has file and line."""


class MissingFileError(ConfigError, FileNotFoundError):
    """There is no config file of this name; the message names the nearest."""


class ScopeError(AtoError):
    """A scope, one of its views or its command line is wrong."""


class UnknownViewError(ScopeError, LookupError):
    """A view was asked for that no scope has; the message lists the views and the nearest."""


class ViewChainError(ScopeError, ValueError):
    """A `chain_with` has a cycle or names an unknown view; the message prints the chain."""


class DuplicateScopeError(ScopeError, ValueError):
    """Two scopes, or two views of one scope, have one name."""


class CommandLineError(ScopeError, ValueError):
    """A token of the command line cannot be applied; the message shows the token."""


class FingerprintError(AtoError):
    """Something cannot be fingerprinted, or two fingerprints cannot be compared."""


class UnsupportedValueError(FingerprintError, TypeError):
    """A value of this type has no fingerprint; the message has the path to it."""


class DepthError(FingerprintError, ValueError):
    """A value is nested deeper than 1,000 levels; the message has the path."""


class SketchError(FingerprintError, ValueError):
    """Two sketches cannot be compared, or a text is no sketch."""


class TraceError(AtoError):
    """A tracer is asked for what it cannot do."""


class ScheduleError(TraceError, ValueError):
    """`every` is no number of calls."""


class NotAModuleError(TraceError, TypeError):
    """What is to be watched is no module of torch."""


class StoreError(AtoError):
    """The database of runs cannot do what was asked."""


class NotADatabaseError(StoreError, ValueError):
    """The file is not a database, or not one of Ato's."""


class SchemaVersionError(StoreError, RuntimeError):
    """The database was written by a newer Ato."""


class NoActiveRunError(StoreError, RuntimeError):
    """Something was logged before `run()` or after `finish()`."""


class MetricTypeError(StoreError, TypeError):
    """A metric is not a number; the message names key and value."""


class UnknownRunError(StoreError, LookupError):
    """No such run or project; the message lists the nearest."""


class UnknownMetricError(StoreError, LookupError):
    """A metric that not both runs have; the message lists those that both have."""


class NoDatabaseError(StoreError, FileNotFoundError):
    """There is no database where one was looked for; the message says where."""
