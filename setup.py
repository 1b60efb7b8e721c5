"""Lists the packages; everything else that a build needs is in setup.cfg."""

import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

_GUIDES = "destinations.reference.guides"


class BuildAnew(build_py):
    """Builds from what is there: a checkout that was built before keeps what was since removed."""

    def run(self) -> None:
        """Empty the folder of the build, then build."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the modules of a package: what makes the docs is not installed with them."""
        modules: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [one for one in modules if package != _GUIDES or one[1] == "__init__"]


# The folders definitions/ and docs/ are data, and packages once installed. setup.cfg can find
# packages or list them, but not both.
setup(
    packages=[
        *find_packages(include=["destinations*", "kana_destination*"]),
        _GUIDES,
        "destinations.reference.pages",
        "kana_destination.definitions",
    ],
    cmdclass={"build_py": BuildAnew},
)
