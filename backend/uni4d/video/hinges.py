"""What opens a body whose mesh has no such part: another part that opens it, or one that is cut free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from uni4d.video.body import Body
from uni4d.video.cutting import cut_free
from uni4d.video.program import MotionProgram, Track

if TYPE_CHECKING:
    from uni4d.library.geometry import TexturedMesh

__all__ = ["with_hinges"]

_OPENING = ("lid", "door", "drawer")


def with_hinges(
    mesh: TexturedMesh, body: Body, program: MotionProgram
) -> tuple[TexturedMesh, Body, MotionProgram]:
    """The mesh, its body and the program such that what shall open can, where that is possible.

    A chest of drawers has no lid: its drawer opens. A fridge of one piece has no door: its front is cut free
    along the creases. The mesh keeps its vertices; those of what was cut free come after them.
    """
    for part in dict.fromkeys(track.part for track in program.tracks if _opens(track)):
        if body.has(part):
            continue
        instead = next((other for other in _OPENING if body.has(other)), None)
        if instead is not None:
            program = _renamed(program, part, instead)
            program = _noted(program, f"The mesh has no separate {part}: its {instead} opens.")
            continue
        parted = cut_free(mesh, part) if part != "drawer" else None
        if parted is None:
            continue
        of_parted = Body.from_mesh(parted.vertices, parted.faces)
        if of_parted.has(part):
            mesh, body = parted, of_parted
            program = _noted(program, f"The mesh is one piece: its {part} was cut free along its edges.")
    return mesh, body, program


def _opens(track: Track) -> bool:
    return track.verb in ("open", "close") and track.part in _OPENING


def _renamed(program: MotionProgram, part: str, instead: str) -> MotionProgram:
    tracks = tuple(
        evolve(track, part=instead) if _opens(track) and track.part == part else track
        for track in program.tracks
    )
    return evolve(program, tracks=tracks)


def _noted(program: MotionProgram, note: str) -> MotionProgram:
    """Once: a program that was edited comes back with its notes."""
    return program if note in program.notes else program.with_note(note)
