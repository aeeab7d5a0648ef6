"""Image to video at a service over HTTP that speaks Kling's API.

=============  ================================================================
``keys``       the service's keys, from the environment, and how they sign
``http``       requests with time-outs, bounded answers and patient repetition
``kling``      the API: submit a task, ask for it, what its answers mean
``decode``     the downloaded bytes → frames, or an error
``generate``   the stage: photograph and words → clip
=============  ================================================================

It needs the standard library and PyAV alone.
"""

from uni4d.video.remote.generate import RemoteVideo

__all__ = ["RemoteVideo"]
