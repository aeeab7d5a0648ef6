"""The backend as a service: a broker that owns the sockets, and a worker process that computes.

``broker`` answers both sockets and never computes; ``worker_process`` starts, watches and replaces the worker
(``worker``, its own process); ``store`` keeps jobs and results on disk; ``authentication`` guards addresses
that are not loopback; ``service`` puts them together.
"""

from uni4d.server.service import serve

__all__ = ["serve"]
