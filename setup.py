"""Lists the packages; everything else that a build needs is in setup.cfg."""

from setuptools import find_packages, setup

# The folder definitions/ is data at the top of the tree, and a package of the plugin once
# installed. setup.cfg can find packages or list them, but not both.
setup(
    packages=[
        *find_packages(include=["destinations*", "kana_destination*"]),
        "kana_destination.definitions",
    ],
)
