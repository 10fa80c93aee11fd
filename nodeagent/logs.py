"""Logging: one line per decision, with its `extra` fields as key=value, UTC, to stderr."""

import logging
import time

_STANDARD = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", (), None)) | {"message": "", "asctime": ""}
)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with what the call gave as `extra` at its end."""
        line = super().format(record)
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if not fields:
            return line
        # A traceback follows the message on lines of its own: the fields go before it.
        first, newline, rest = line.partition("\n")
        pairs = " ".join(f"{name}={str(value)!r}" for name, value in sorted(fields.items()))
        return f"{first} {pairs}{newline}{rest}"


def set_up(level: str) -> None:
    """Log to stderr from `level` on."""
    handler = logging.StreamHandler()
    formatter = _Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
