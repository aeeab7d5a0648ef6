"""The newest real Blender (5.2 LTS when this was written), from Debian sid in a folder of its own.

Debian's stable release carries an old Blender, most artists use a new one, and its makers' archives are not
reachable from every build machine, whereas a Debian mirror is. The folder (1.3 GB, 2 minutes) is a small
Debian system in the user's cache; nothing outside it changes.

A launcher script makes it an ordinary program: ``PATH/blender --version``. The script enters a private mount
namespace, so that its mounts (``/proc``, ``/dev``, ``/tmp`` with the X sockets, the repository, the home and
cache folders) are seen by that Blender only and vanish with it, however it ends.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from uni4d_setup import debian
from uni4d_setup.console import Step
from uni4d_setup.errors import SetupError
from uni4d_setup.layout import LOCAL_CACHE, ROOT, user_cache

__all__ = ["ensure", "find", "unavailable_reason"]

_RELEASE = "sid"
_PACKAGES = "blender,python3-numpy,python3-cattr,python3-requests,libgl1,libgl1-mesa-dri,libegl1"
"""Without cattr and requests Blender's extension system does not start, without libgl1 its window."""
_GIGABYTES = 2.5
_LAUNCHER = LOCAL_CACHE / "newest" / "blender"


def _home() -> Path:
    return user_cache() / "blender-newest"


def unavailable_reason() -> str:
    """Why it cannot be provisioned here; empty when it can."""
    if os.environ.get("UNI4D_NEWEST_BLENDER"):
        return ""
    if not debian.can_install():
        return (
            "making a Debian system in a folder needs root and apt; "
            "set UNI4D_NEWEST_BLENDER to a Blender 5.2 of your own instead"
        )
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "this root may not make mount namespaces (a container without CAP_SYS_ADMIN)"
    return ""


def find() -> Path | None:
    """The newest Blender's program, if it is there: the person's own, or the one provisioned earlier."""
    own = os.environ.get("UNI4D_NEWEST_BLENDER")
    if own:
        return Path(own)
    return (
        _LAUNCHER if _LAUNCHER.is_file() and (_home() / "root" / "usr" / "bin" / "blender").exists() else None
    )


def _mirror() -> str:
    """The address of the Debian archive that this machine's apt uses."""
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(SITE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in answer.stdout.splitlines():
        origin, _, site = line.partition(" ")
        if origin == "Debian" and "security" not in site:
            return site
    raise SetupError(
        "apt knows no Debian archive, so the newest Blender cannot be fetched.",
        "Set UNI4D_NEWEST_BLENDER to a Blender 5.2 of your own.",
    )


def _launcher_script(root: Path) -> str:
    """The script that runs the Blender in ``root`` as if it were installed here."""
    seen = dict.fromkeys([Path(tempfile.gettempdir()), Path("/tmp"), Path.home(), user_cache(), ROOT])  # noqa: S108
    mounts = [("--rbind", Path("/proc")), ("--rbind", Path("/dev")), ("--rbind", Path("/sys"))]
    mounts += [("--bind", folder) for folder in seen if folder != Path("/") and folder.is_dir()]
    lines = []
    for how, folder in mounts:
        inside = shlex.quote(f"{root}{folder}")
        lines.append(f"mkdir -p {inside} && mount {how} {shlex.quote(str(folder))} {inside}")
    # Its own PATH: the outer one may lead to this launcher again, and to a Python that is not in there.
    program = "/usr/bin/env PATH=/usr/bin:/bin /usr/bin/blender"
    lines.append(f'exec chroot {shlex.quote(str(root))} {program} "$@"')
    inner = " && ".join(lines)
    return (
        "#!/bin/sh\n"
        "# Written by build.py; see backend/uni4d_setup/newest_blender.py.\n"
        f'exec unshare --mount --propagation private sh -c {shlex.quote(inner)} blender "$@"\n'
    )


def _provision() -> None:
    """Fill the folder; a broken-off attempt leaves only ``root.partial``."""
    home = _home()
    root, partial = home / "root", home / "root.partial"
    debian.install(debian.NEWEST_BLENDER, "The newest Blender is fetched with mmdebstrap.")
    home.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(home).free / 1e9 < _GIGABYTES:
        raise SetupError(f"The newest Blender needs {_GIGABYTES} GB in {home}.", "Free some space.")
    shutil.rmtree(partial, ignore_errors=True)
    with Step(f"The newest Blender, from Debian {_RELEASE}") as step:
        # A mirror that is a snapshot has lists past their date of validity; the signatures are checked.
        options = ["--variant=apt", '--aptopt=Acquire::Check-Valid-Until "false"', f"--include={_PACKAGES}"]
        step.run(["mmdebstrap", *options, _RELEASE, partial, _mirror()])
        (partial / "etc" / "mtab").symlink_to("/proc/self/mounts")  # Blender lists the mounted file systems
        partial.rename(root)


def ensure() -> Path:
    """The newest Blender's program, provisioned on first use."""
    found = find()
    if found is not None and os.environ.get("UNI4D_NEWEST_BLENDER"):
        if not found.is_file():
            raise SetupError(f"UNI4D_NEWEST_BLENDER is {found}, and no file is there.")
        return found
    reason = unavailable_reason()
    if reason:
        raise SetupError(f"The newest Blender cannot be provided: {reason}.")
    if found is None and not (_home() / "root").is_dir():
        _provision()
    script = _launcher_script(_home() / "root")
    if not _LAUNCHER.is_file() or _LAUNCHER.read_text(encoding="utf-8") != script:
        _LAUNCHER.parent.mkdir(parents=True, exist_ok=True)
        _LAUNCHER.write_text(script, encoding="utf-8")
        _LAUNCHER.chmod(0o755)
    return _LAUNCHER
