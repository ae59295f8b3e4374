# A module of the store needs modules in other store paths, as its nix-support/propagated-build-inputs says.
# Follows them for every store path named in PYTHONPATH, so that naming one module is enough.
import os
import sys

SITE_PACKAGES = os.path.join("lib", "python%d.%d" % sys.version_info[:2], "site-packages")


def follow(path, seen):
    if path in seen:
        return
    seen.add(path)
    folder = os.path.join(path, SITE_PACKAGES)
    if os.path.isdir(folder) and folder not in sys.path:
        sys.path.append(folder)
    try:
        with open(os.path.join(path, "nix-support", "propagated-build-inputs")) as file:
            for each in file.read().split():
                follow(each, seen)
    except OSError:
        pass


for entry in list(sys.path):
    if entry.startswith("/nix/store/") and entry.endswith("/" + SITE_PACKAGES):
        follow(entry[: -len(SITE_PACKAGES) - 1], {sys.prefix})
