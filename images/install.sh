#!/bin/sh
# The steps of both images, one for each RUN: base, tools, dependencies EXTRA [TORCH], project, final. Wheels come from
# /wheels where there are any, else from the package index.
# TORCH: nothing (the wheelhouse or the index decides), `base` (the base image's own), or what uv's --torch-backend takes.
set -eu
ROOT=/opt/fastgen
VENV=$ROOT/venv
export UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_FIND_LINKS=/wheels
if ls /wheels/uv-*.whl >/dev/null 2>&1; then # a wheelhouse with the installer in it is a whole one
    export UV_OFFLINE=1 UV_NO_INDEX=1
fi

packages() { # the distribution's, as fixed as the base is
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@"
    rm -rf /var/lib/apt/lists/*
}

base() { # a CUDA runtime base has no Python
    command -v python3 >/dev/null || packages ca-certificates python3
}

tools() { # a wheel is an archive: no pip is needed to open it
    if [ -n "${UV_NO_INDEX:-}" ]; then
        python3 -m zipfile -e /wheels/uv-*.whl /opt/uv
    else
        python3 -m pip --version >/dev/null 2>&1 || packages python3-pip
        python3 -m pip install --quiet --no-cache-dir --target /opt/uv --require-hashes -r /build/tools.txt
    fi
    install -m 755 "$(find /opt/uv -name uv -type f)" /usr/local/bin/uv
}

dependencies() {
    extra=$1 torch=${2:-} system=
    if [ "$torch" = base ]; then
        system=--system-site-packages
        printf 'torch\ntriton\n' >/build/excluded.txt
        export UV_EXCLUDE=/build/excluded.txt
    elif [ -n "$torch" ]; then
        export UV_TORCH_BACKEND="$torch"
    fi
    uv venv --quiet --python "$(command -v python3)" $system $VENV
    constraints=/build/constraints.txt pins=/build/pins.txt
    uv pip compile --quiet --no-header --no-annotate --python $VENV/bin/python --extra "$extra" \
        --constraints $constraints --output-file $pins /build/pyproject.toml >/dev/null
    grep -q '^torch==.*+' $pins && constraints="$constraints --constraints /build/torch.txt"
    # shellcheck disable=SC2086  # several words
    uv pip install --quiet --python $VENV --require-hashes --requirements $pins --constraints $constraints
    site=$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    prune "$site"
    rm -f $VENV/.lock # world-writable
    echo $ROOT/project >"$site/project.pth" # in a layer of its own: a change of the project does not move the others
}

prune() ( # what a stage or the controller can never use, about half of the small image
    cd "$1"
    rm -rf torch/include torch/share torch/bin/protoc* torch/test # for a compiler, and there is none
    find . -type d -name tests -prune -exec rm -rf {} +
    find . -name '*.a' -delete
    rm -rf kubernetes/aio                                           # the same client once more, for asyncio
    if [ -d botocore/data ]; then                                   # descriptions of 400 services: storage and identity stay
        find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' ! -name signin \
            -exec rm -rf {} +
    fi
)

project() {
    uv pip install --quiet --python $VENV --build-constraints /build/tools.txt --no-deps --target $ROOT/project /build/source
    rm -f $ROOT/project/.lock
}

# Nothing is installed or compiled later on a read-only root: installers and set-uid bits go, the library is compiled now.
final() {
    for name in pip setuptools wheel ensurepip; do
        find / -xdev -path '*/python3*' -type d \( -name $name -o -name "$name-*.dist-info" \) -prune -exec rm -rf {} +
    done
    rm -f /usr/local/bin/pip* /usr/bin/pip*
    library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    python3 -m compileall -q -x 'badsyntax|bad_coding|-packages/' "$library"
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +
    groupadd --gid 10001 fastgen
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp/home --shell /usr/sbin/nologin fastgen
}

"$@"
