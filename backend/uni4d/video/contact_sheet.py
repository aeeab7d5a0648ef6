"""Every verb on an object that suits it, a few frames each, on one picture to look at.

``python -m uni4d.video.contact_sheet --out sheet.png`` needs the library of Sweet Home 3D. Programs come
from the words and frames from the same splats as those of ``uni4d animate``; colours are the mesh's own,
without the photographs' light, over blue, where white and grey things show too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen
from PIL import Image, ImageDraw, ImageFont

from uni4d.video.body import Body
from uni4d.video.framing import fit_to_frame
from uni4d.video.hinges import with_hinges
from uni4d.video.interpret import interpret
from uni4d.video.kinematic import film, on_the_body
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Array, Query

if TYPE_CHECKING:
    from uni4d.library.geometry import TexturedMesh

__all__ = ["SCENES", "Scene", "contact_sheet", "main", "strip"]


@frozen
class Scene:
    """An object of Sweet Home 3D that does something."""

    stem: str
    """Its identifier, without the hash at the end."""
    object_text: str
    motion_text: str


def _scenes(table: str) -> tuple[Scene, ...]:
    rows = [line.split("|") for line in table.strip().splitlines()]
    return tuple(Scene(*(cell.strip() for cell in row)) for row in rows)


_BLUE = (0.55, 0.66, 0.78)

SCENES = _scenes("""
armchair            | armchair     | spins clockwise
cartoon-biplane     | biplane      | flies in circles
cartoon-biplane     | biplane      | flies
cartoon-biplane     | biplane      | does a barrel roll
smart-car           | car          | drives back and forth
bike                | bike         | its wheels spin
skateboard          | skateboard   | comes towards us
truck               | truck        | backs up
ballonfoot          | ball         | rolls forward
basketball          | basketball   | bounces
basketball          | basketball   | falls to the ground
bonecodeneve        | snowman      | jumps twice
bonecodeneve        | snowman      | melts
sillablanca         | chair        | topples over
saloon-lamp         | lamp         | swings
caballito           | rocking horse | rocks back and forth
rowboat             | rowboat      | wobbles
clock               | clock        | shakes
desklamp            | desk lamp    | nods
desklamp            | desk lamp    | lights up
lamp2               | lamp         | blinks
candle              | candle       | glows
candelabre          | street light | fades
teddybear           | teddy bear   | dances
teddybear           | teddy bear   | waves hello
mannequinmale       | man          | walks
mannequinmale       | man          | bows
horse               | horse        | runs
bulldog             | bulldog      | leaves
siamesecat          | cat          | stretches
cat                 | cat          | breathes
horse2              | horse        | walks in circles
palm                | palm tree    | sways in the wind
arbolito            | tree         | grows
riggedfan           | fan          | turns
ceilingfan          | ceiling fan  | spins
fridge              | fridge       | opens
oven                | oven         | opens
wardrobe            | wardrobe     | opens and closes
exterior-door-01    | door         | swings open
dresserwithdrawers  | dresser      | a drawer slides out
chest               | chest        | opens
chest-freezer       | freezer      | its lid opens and shuts
ammobox             | crate        | opens
laptop              | laptop       | closes
lockedlocker        | locker       | opens
microwave           | microwave    | opens
plaidchair          | chair        | twists
box                 | box          | slides to the right
cartoon-biplane     | plane        | takes off
cartoon-biplane     | bird         | flaps its wings
plaidchair          | chair        | rises and falls
""")


def strip(mesh: TexturedMesh, scene: Scene, *, frames: int, size: int, splats: int) -> tuple[Array, str]:
    """``[H, frames · W, 3]`` uint8, and what is played with its notes."""
    from uni4d.splatting import splats_from_mesh

    body = Body.from_mesh(mesh.vertices, mesh.faces)
    camera = orbit_rig(body.centre, body.radius, azimuths=4, elevations=[0.3], size=size, margin=1.35)[0]
    query = Query(f"{scene.object_text} {scene.motion_text}", scene.object_text, scene.motion_text)
    mesh, body, program = with_hinges(mesh, body, interpret(query, duration=2.0))
    program = fit_to_frame(on_the_body(program, body), body, camera, frames)
    shown = film(splats_from_mesh(mesh, splats, 0), body, program, camera, frames, background=_BLUE)
    return np.concatenate(list(shown), axis=1), "; ".join([", ".join(program.verbs), *program.notes])


def contact_sheet(rows: Sequence[tuple[str, Array]], *, columns: int, caption: int = 14) -> Image.Image:
    """Strips under their captions, in ``columns`` columns."""
    high, wide = rows[0][1].shape[:2]
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * (wide + 6), lines * (high + caption)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=caption - 3)
    for index, (title, pixels) in enumerate(rows):
        left, top = (index // lines) * (wide + 6), (index % lines) * (high + caption)
        draw.text((left + 2, top), title, fill="black", font=font)
        sheet.paste(Image.fromarray(pixels), (left, top + caption))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """``--out sheet.png``; one line for each strip."""
    from uni4d.config import LibraryConfig
    from uni4d.library.formats.reading import load_mesh
    from uni4d.library.opened import open_library
    from uni4d.terminal import stdout

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="scenes whose words hold one of these, comma-separated")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--splats", type=int, default=8_000)
    parser.add_argument("--columns", type=int, default=3)
    options = parser.parse_args(arguments)
    library = open_library(LibraryConfig())
    uids = {asset.uid.rsplit("-", 1)[0]: asset.uid for asset in library.assets()}
    rows = []
    for scene in SCENES:
        title = f"{scene.object_text} {scene.motion_text}"
        if not any(words in title for words in options.only.split(",")):
            continue
        if scene.stem not in uids:
            stdout.print(f"{title}: left out, the library has no {scene.stem}")
            continue
        mesh = load_mesh(Path(library.get(uids[scene.stem]).path))
        pixels, said = strip(mesh, scene, frames=options.frames, size=options.size, splats=options.splats)
        stdout.print(f"{title}: {said}")
        rows.append((title, pixels))
    if not rows:
        raise Uni4DError(
            "library-empty", "There is no scene to show.", "Build the library, or change --only."
        )
    contact_sheet(rows, columns=options.columns).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
