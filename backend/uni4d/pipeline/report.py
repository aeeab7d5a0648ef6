"""``report.json``: what was done for one prompt, with what settings, how long it took, how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

import uni4d
from uni4d.config import Config
from uni4d.pipeline.results import StageResults

__all__ = ["write_report"]


def write_report(
    folder: Path, config: Config, results: StageResults, seconds: float, in_blender: float
) -> dict[str, Any]:
    """Write ``folder/report.json`` and return it; ``in_blender``:
    :func:`~uni4d.pipeline.fidelity.psnr_in_blender`."""
    search, alignment = results.search, results.align.alignment
    animated, fitted = results.animate, results.fit
    blender = json.loads((folder / "blender.json").read_text(encoding="utf-8"))
    document = {
        "prompt": search.query.prompt,
        "object_text": search.query.object_text,
        "motion_text": search.query.motion_text,
        "asset": {**attrs.asdict(search.hits[0]), "path": f"glb/{search.hits[0].uid}.glb"},
        "hits": [attrs.asdict(hit) for hit in search.hits],
        "alignment": {
            "score": alignment.score,
            "percentile": alignment.percentile,
            "loss": alignment.loss,
            "text_shape": alignment.text_shape,
            "shape_image": alignment.shape_image,
            "image_text": alignment.image_text,
            "key_view": alignment.key_view,
            "view_weights": alignment.view_weights.tolist(),
        },
        "motion": animated.program,
        "fit": fitted.metrics,
        "splats_in_blender": {"psnr_foreground": round(in_blender, 2)},
        "counts": {
            "frames": len(animated.clip.frames),
            "splats": len(fitted.result.splats.means),
            "control_nodes": len(fitted.result.motion.nodes),
            "vertices": len(fitted.result.mesh.vertices),
            "faces": len(fitted.result.mesh.faces),
        },
        "seconds": round(seconds, 2),
        "blender": blender,
        "settings": attrs.asdict(config, value_serializer=_plain),
        "version": uni4d.__version__,
        "folder": str(folder),
    }
    (folder / "report.json").write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    return document


def _plain(_: object, __: object, value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
