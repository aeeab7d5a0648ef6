"""From a query to a motion program, and honest notes about what was not understood."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
from attrs import evolve
from numpy.typing import ArrayLike

from uni4d.video.lexicon import Modifier, find_modifiers, find_verbs, gerund, unknown_motions
from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import DEFAULT_VERB, VERBS, Verb, words
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

__all__ = ["EmbedText", "interpret", "nearest_verb"]

EmbedText = Callable[[str], ArrayLike]
"""A sentence → its embedding ``[D]``."""

_WINGED = frozenset(
    words(
        "bird, eagle, owl, parrot, gull, seagull, pigeon, duck, goose, butterfly, bee, dragon, bat, "
        "crow, swan"
    )
)
"""Objects whose wings beat when they fly, though the prompt does not say so."""

_LAMPS = frozenset(words("lamp, light, lantern, candle, torch, bulb, lamppost, chandelier, streetlight"))
"""Objects that light up at the head, not all over."""

_GROUNDED = frozenset({"walk", "run", "drive", "swim", "slide", "hover"})
"""Verbs that “in circles” leads along a level circle, upright."""

_FULL_TURNS = frozenset({"spin", "roll", "barrel_roll", "tumble"})
"""Verbs whose amplitude is a whole turn, whatever “wildly” says: half a turn more would not loop."""


def interpret(
    query: Query,
    *,
    duration: float,
    speed: float = 1.0,
    amplitude: float = 1.0,
    embed_text: EmbedText | None = None,
) -> MotionProgram:
    """The program of ``query.motion_text`` for a clip of ``duration`` seconds.

    ``speed`` and ``amplitude`` multiply what the words say. A motion that the lexicon does not know becomes
    the verb that is nearest by text embedding; no motion at all becomes a gentle default. Both are noted.
    """
    text = query.motion_text.strip()
    matches, modifiers = find_verbs(text), find_modifiers(text)
    names: list[str] = list(dict.fromkeys([match.verb for match in matches]))
    notes: list[str] = []
    if not text or not re.search(r"[^\W\d_]", text):
        names = [DEFAULT_VERB]
        notes.append(f"The prompt names no motion; it is {gerund(DEFAULT_VERB)} gently.")
    elif not names and any(modifier.kind == "path" and modifier.value == "circle" for modifier in modifiers):
        names = ["orbit"]
    elif not names:
        name, cosine = nearest_verb(text, embed_text)
        names = [name]
        notes.append(f"Unknown motion “{text}”; the nearest verb is “{gerund(name)}” (cosine {cosine:.2f}).")
    elif unknown := unknown_motions(text):
        notes.append(f"Left out, because the lexicon does not know it: {', '.join(unknown)}.")
    names = _with_company(names, modifiers, query.object_text)
    tracks = tuple(
        _track(VERBS[name], modifiers, query.object_text, duration, speed, amplitude, notes) for name in names
    )
    return MotionProgram(tracks, duration, query.motion_text, tuple(dict.fromkeys(notes)))


def nearest_verb(text: str, embed_text: EmbedText | None) -> tuple[str, float]:
    """The verb whose gerund is nearest to ``text`` by cosine of their embeddings, and that cosine."""
    if embed_text is None:
        raise Uni4DError(
            "motion-unknown",
            f"“{text}” is not a motion of the lexicon, and there is no text encoder to compare it with.",
            f"Use one of: {', '.join(sorted(VERBS))}.",
        )
    wanted = _unit(embed_text(text))
    best, best_cosine = DEFAULT_VERB, -math.inf
    for verb in VERBS.values():
        cosine = float(wanted @ _unit(embed_text(f"is {gerund(verb.name)}")))
        if cosine > best_cosine:
            best, best_cosine = verb.name, cosine
    return best, best_cosine


def _unit(vector: ArrayLike) -> np.ndarray:
    array = np.asarray(vector, dtype=np.float64).reshape(-1)
    return array / max(float(np.linalg.norm(array)), 1e-12)


def _with_company(names: list[str], modifiers: list[Modifier], object_text: str) -> list[str]:
    """Verbs that come along: a gait that is told where to go travels there, and wings beat in flight."""
    paths = {modifier.value for modifier in modifiers if modifier.kind == "path"}
    led = any(modifier.kind == "direction" for modifier in modifiers)
    if "circle" in paths and "fly" in names:
        names = ["circle" if name == "fly" else name for name in names]
    elif "circle" in paths and _GROUNDED & set(names):
        names = [name for name in names if VERBS[name].layer != "path"] + ["orbit"]
    elif led and {"walk", "run"} & set(names) and all(VERBS[name].layer != "path" for name in names):
        names = [*names, "drive" if "return" in paths else "approach"]
    if {"fly", "circle"} & set(names) and "flap" not in names and _WINGED & set(_words(object_text)):
        names = [*names, "flap"]
    return names


def _words(text: str) -> list[str]:
    """Lower-case words, with their singulars by the plain rule."""
    found = re.findall(r"[a-z]+", text.lower())
    return [*found, *(word[:-1] for word in found if word.endswith("s"))]


def _track(
    verb: Verb,
    modifiers: list[Modifier],
    object_text: str,
    duration: float,
    speed: float,
    amplitude: float,
    notes: list[str],
) -> Track:
    for modifier in modifiers:
        if modifier.kind == "speed":
            speed *= float(modifier.value)  # type: ignore[arg-type]
        elif modifier.kind == "amplitude" and verb.name not in _FULL_TURNS:
            amplitude *= float(modifier.value)  # type: ignore[arg-type]
    counts = [float(m.value) for m in modifiers if m.kind == "count"]  # type: ignore[arg-type]
    track = Track(
        verb=verb.name,
        cycles=_cycles(verb, duration, speed, counts, notes),
        amplitude=verb.amplitude * (1.0 if verb.name in _FULL_TURNS else amplitude),
        axis=verb.axis,
        part="head" if verb.layer == "light" and _LAMPS & set(_words(object_text)) else "whole",
    )
    for modifier in modifiers:
        if modifier.kind == "turning" and VERBS[verb.name].axis == (0.0, 0.0, 1.0):
            track = evolve(track, axis=(0.0, 0.0, float(modifier.value)))  # type: ignore[arg-type]
        elif modifier.kind == "direction":
            track = _directed(track, verb, modifier.value)  # type: ignore[arg-type]
    return track


def _cycles(verb: Verb, duration: float, speed: float, counts: list[float], notes: list[str]) -> float:
    """Whole cycles for a verb that repeats, so that the clip loops; one course for a verb that does not."""
    if not verb.cyclic:
        return 1.0
    if counts:
        return counts[0]
    wanted = duration * speed / verb.period
    cycles = max(1.0, float(round(wanted)))
    if wanted < 0.75:
        notes.append(f"One cycle of “{gerund(verb.name)}” is the least that loops in {duration:g} s.")
    return cycles


def _directed(track: Track, verb: Verb, direction: tuple[float, float, float]) -> Track:
    """Towards ``direction``: paths go along it, leaning and falling verbs turn about the axis across it."""
    if verb.name in {"fall", "tilt", "bend", "roll", "tumble", "rock", "swing", "sway"}:
        x, y, z = direction
        return track if z else evolve(track, axis=(-y, x, 0.0))  # up × direction
    if verb.name in {"slide", "drive", "approach", "leave", "shake", "fly", "rise", "hover"}:
        return evolve(track, axis=direction)
    if verb.name == "spin" and direction[0]:
        return evolve(track, axis=(0.0, 0.0, direction[0]))  # to its left is counter-clockwise from above
    return track
