"""One build job of the workflow `farm`: build and test what the environment variable JOB says, an entry of `builds`.

State goes to FARM_HOME as always, which is this job's own: publishing to users is another job's right.
"""

from __future__ import annotations

import json
import os
import sys

from farm.cli import run as farm


def main() -> int:
    """The exit code of the first verb that failed."""
    job = json.loads(os.environ["JOB"])
    words = [*job["recipes"], "--platform", job["platform"], *(f"--python={version}" for version in job["pythons"])]
    return farm(["build", *words, "--no-publish"]) or farm(["test", *words])


if __name__ == "__main__":
    sys.exit(main())
