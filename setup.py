"""Lists the packages; everything else that a build needs is in setup.cfg."""

import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildAnew(build_py):
    """Builds from what is there: a checkout that was built before keeps what was since removed."""

    def run(self) -> None:
        """Empty the folder of the build, then build."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


# The folders definitions/ and docs/reference/ are data, and packages once installed. setup.cfg can
# find packages or list them, but not both.
setup(
    packages=[
        *find_packages(include=["destinations*", "kana_destination*"]),
        "destinations.reference.pages",
        "kana_destination.definitions",
    ],
    cmdclass={"build_py": BuildAnew},
)
