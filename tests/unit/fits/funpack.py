"""CFITSIO's fpack and funpack, where they are installed: the judges of our unpacking."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.fits.unpacking import UnpackedFile

needs_cfitsio = pytest.mark.skipif(
    not (shutil.which("fpack") and shutil.which("funpack")), reason="needs fpack and funpack (libcfitsio-bin)"
)


def fpack(file: Path, *options: str) -> Path | None:
    """The file packed; None when fpack can't do that with these pixels."""
    packed = file.with_name(f"{file.name}.fz")
    packed.unlink(missing_ok=True)
    done = subprocess.run(["fpack", *options, "-O", str(packed), str(file)], capture_output=True)
    return packed if done.returncode == 0 and packed.exists() else None


def funpack(file: Path) -> bytes:
    """What CFITSIO makes of a packed file, with the options that the OCS archive gives."""
    done = subprocess.run(["funpack", "-C", "-S", str(file)], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def unpacked(file: Path) -> bytes:
    """What we make of it."""
    with file.open("rb") as source:
        content = UnpackedFile(source, file.stat().st_size, file.name, max_bytes=1 << 34)
        data = b"".join(content.pieces())
    assert len(data) == content.size, "the length was announced before"
    return data
