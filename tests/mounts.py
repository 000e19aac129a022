"""Whether this machine lets tests mount a small disk."""

import functools
import os
import subprocess
import tempfile

import pytest

_TRY = 'mount --make-rprivate / && exec mount -t tmpfs -o size=1m tmpfs "$1"'


@functools.cache
def why_no_mounts() -> str | None:
    """Why tests cannot mount a disk in a mount namespace of their own; None when they can."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", _TRY, "sh", folder],
                check=False,
                capture_output=True,
                text=True,
                timeout=30,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return None if done.returncode == 0 else f"root may not mount here: {done.stderr.strip()}"


def needs_mounts(what: str) -> pytest.MarkDecorator:
    """Skips a test where no disk can be mounted; the reason in the report says that `what` is not tested."""
    return pytest.mark.skipif(why_no_mounts() is not None, reason=f"{what} IS NOT TESTED: {why_no_mounts()}")
