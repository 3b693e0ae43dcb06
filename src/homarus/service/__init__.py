"""The daemon as a process: sockets, signals, start and stop."""

from homarus.base import structlog_alone

__all__ = ["structlog_alone"]
