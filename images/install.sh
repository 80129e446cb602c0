#!/bin/sh
# The builder stage's steps: `tools`, then `dependencies EXTRA [TORCH]`, then `project`. Wheels come from /wheels where there are any.
# TORCH: nothing (the wheelhouse or the index decides), `base` (the base image's own), or what `uv --torch-backend` takes (cpu, cu130).
set -eu
ROOT=/opt/fastgen
VENV=$ROOT/venv
export UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_FIND_LINKS=/wheels
if ls /wheels/uv-*.whl >/dev/null 2>&1; then
    export UV_OFFLINE=1 UV_NO_INDEX=1 # a wheelhouse with the installer in it is a whole one
fi

tools() { # a wheel is an archive: no pip is needed to open it
    if [ -n "${UV_NO_INDEX:-}" ]; then
        python3 -m zipfile -e /wheels/uv-*.whl /opt/uv
    else
        python3 -m pip install --quiet --no-cache-dir --target /opt/uv "$(grep '^uv==' /build/tools.txt)"
    fi
    install -m 755 "$(find /opt/uv -name uv -type f)" /usr/local/bin/uv
}

dependencies() {
    extra=$1 torch=${2:-}
    case $torch in
    base)
        uv venv --quiet --python python3 --system-site-packages $VENV
        printf 'torch\ntriton\n' >/build/excluded.txt
        export UV_EXCLUDE=/build/excluded.txt
        ;;
    *)
        uv venv --quiet --python python3 $VENV
        if [ -n "$torch" ]; then export UV_TORCH_BACKEND="$torch"; fi
        ;;
    esac
    uv pip install --quiet --python $VENV -c /build/constraints.txt -r /build/pyproject.toml --extra "$extra"
    site=$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # Only a compiler could use these, and there is none.
    rm -rf "$site"/torch/include "$site"/torch/share "$site"/torch/bin/protoc*
    find "$site" -name '*.a' -delete
    echo $ROOT/project >"$site/project.pth" # a layer of its own, so that a change of the project does not move the rest
}

project() {
    uv pip install --quiet --python $VENV --build-constraints /build/tools.txt --no-deps --target $ROOT/project /build/source
    # The script was written for the builder's interpreter of the same path; it stays valid in the final image.
    rm -f $ROOT/project/.lock
}

"$@"
