"""Kling's image-to-video API: what is sent, and what the answers mean.

=======================================  ===========================================================
``POST /v1/videos/image2video``          makes a task
``GET /v1/videos/image2video/{id}``      its state: ``submitted``, ``processing``, ``succeed``, ``failed``;
                                         ``id`` is the service's, or the one that we gave the task
=======================================  ===========================================================

Every answer is ``{"code": 0, "message": ..., "request_id": ..., "data": {...}}``; any other code is a
refusal. Field names, codes and limits are those of the service's published reference (app.klingai.com, *API
reference, Image to Video* and *Error codes*).
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import frozen

from uni4d.config import RemoteConfig
from uni4d.video.remote.http import Answer, Busy
from uni4d.video.remote.keys import ACCESS_KEY, API_KEY, SECRET_KEY
from uni4d_shared.errors import Uni4DError

__all__ = ["PATH", "Task", "check_prompt", "check_url", "read_task", "submission", "task_url", "video_url"]

PATH = "/v1/videos/image2video"
_MAX_IMAGE = 10_000_000
_MAX_PROMPT = 2_500
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WAITING, _DONE, _FAILED = ("submitted", "processing"), "succeed", "failed"
_TRY_AGAIN = (1302, 1303)
"""Codes of 429 that waiting cures: too many requests, too many tasks at once."""
_UNPAID = (1100, 1101, 1102)
_POLICY = (1300, 1301)


@frozen
class Task:
    """A task at the service."""

    identifier: str
    status: str
    url: str = ""
    """Of the video, once it is done."""
    reason: str = ""
    """Why it failed, in the service's words."""

    @property
    def done(self) -> bool:
        return self.status == _DONE


def submission(config: RemoteConfig, png: bytes, prompt: str, identifier: str) -> bytes:
    """The body that makes a task of ours, named ``identifier``: the service takes each name once, so a
    submission that is repeated is not paid twice."""
    if len(png) > _MAX_IMAGE:
        raise Uni4DError(
            "bad-setting",
            f"The picture for the video service has {len(png) / 1e6:.1f} MB; it takes 10 MB.",
            "Make video.remote.image_size smaller.",
        )
    values: dict[str, Any] = {
        "model_name": config.model,
        "mode": config.mode,
        "duration": str(config.seconds),
        "image": base64.b64encode(png).decode(),  # bare, without "data:image/png;base64,"
        "prompt": prompt,
        "external_task_id": identifier,
    }
    if config.negative_prompt:
        values["negative_prompt"] = config.negative_prompt
    return json.dumps(values).encode()


def check_prompt(prompt: str) -> str:
    """``prompt``, when the service takes one so long."""
    if len(prompt) > _MAX_PROMPT:
        raise Uni4DError(
            "prompt-too-long",
            f"The prompt has {len(prompt)} characters; the video service takes {_MAX_PROMPT}.",
            "Shorten it.",
        )
    return prompt


def check_url(config: RemoteConfig) -> str:
    """The service's address without a slash at its end. In the clear, keys are sent to this machine only."""
    parts = urlsplit(config.base_url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise Uni4DError(
            "bad-setting",
            f"video.remote.base_url: {config.base_url} is no https address.",
            'Use one such as "https://api-singapore.klingai.com".',
        )
    return config.base_url.rstrip("/")


def task_url(base: str, identifier: str) -> str:
    return f"{base}{PATH}/{quote(identifier, safe='')}"


def video_url(base: str, task: Task) -> str:
    """Where a finished video lies: over https, or as the service itself is reached."""
    scheme = urlsplit(task.url).scheme
    if scheme != "https" and scheme != urlsplit(base).scheme:
        raise _strange("a video without an https address")
    return task.url


def read_task(answer: Answer) -> Task:
    """The task of an answer; :class:`Busy` when the service should be asked again, else why it refuses."""
    document = _document(answer)
    code, said = document.get("code"), str(document.get("message") or "")[:300]
    if answer.status == 200 and code == 0:
        return _task(document.get("data"))
    if answer.status >= 500:
        raise Busy(f"the service fails ({answer.status}): {said}", answer.retry_after)
    if answer.status == 429 and (code in _TRY_AGAIN or not isinstance(code, int)):
        raise Busy(f"the service is busy ({answer.status}): {said}", answer.retry_after, definite=True)
    raise _refusal(answer.status, code, said)


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    if answer.status == 200:
        raise _strange("an answer that is no JSON object")
    return {}


def _task(data: Any) -> Task:
    if not isinstance(data, dict):
        raise _strange("an answer without data")
    identifier, status = data.get("task_id"), data.get("task_status")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise _strange("a task without a name")
    if status in _WAITING:
        return Task(identifier, str(status))
    if status == _FAILED:
        return Task(identifier, _FAILED, reason=str(data.get("task_status_msg") or "no reason given")[:300])
    if status != _DONE:
        raise _strange(f"a task in the state {str(status)[:40]!r}")
    try:
        url = data["task_result"]["videos"][0]["url"]
    except (KeyError, IndexError, TypeError):
        url = None
    if not isinstance(url, str) or not url:
        raise _strange("a finished task without a video")
    return Task(identifier, _DONE, url)


def _strange(what: str) -> Uni4DError:
    return Uni4DError(
        "service-invalid",
        f"The video service sent {what}.",
        "Check that video.remote.base_url is a service with Kling's API, and try again later.",
    )


def _refusal(status: int, code: Any, said: str) -> Uni4DError:
    what = f"The video service refuses ({status}, code {code}): {said or 'no reason given'}."
    if status in (401, 403):
        return Uni4DError(
            "service-keys-refused",
            what,
            f"Check {ACCESS_KEY} and {SECRET_KEY} (or {API_KEY}), and this machine's clock.",
        )
    if code in _UNPAID:
        return Uni4DError(
            "service-refused", what, "Look after the account at the service: it is out of credit."
        )
    if code in _POLICY:
        return Uni4DError("service-refused", what, "Word the prompt otherwise, or choose another asset.")
    return Uni4DError("service-refused", what, "Correct the table [video.remote]; the message says what.")
