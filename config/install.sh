#!/bin/sh
# Installs the files of a server where a distribution would put them, and starts nothing. `make install` runs it.
#
#   PREFIX   where programs go (default /usr; /usr/local is possible, too)
#   DESTDIR  a folder to use as / while a package is built (default none)
#   PYTHON   the Python of the server: 3.11 or newer with the module venv (default python3)
#   EXTRAS   optional dependencies of pyproject.toml, separated by spaces (default none)
#
# The server has its own Python environment, which pip fills with its usual settings (PIP_INDEX_URL, PIP_FIND_LINKS and
# so on). Existing files in /etc are kept.
set -eu
umask 022
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr} destdir=${DESTDIR:-} python=${PYTHON:-python3} extras=${EXTRAS:-}
case $prefix:${destdir:-/} in
/*:/*) ;;
*)
    echo "install: PREFIX and DESTDIR must begin with /, not \"$prefix\" and \"$destdir\"" >&2
    exit 2
    ;;
esac
home=$prefix/lib/resalloc-functions
share=$destdir$prefix/share
doc=$share/doc/resalloc-functions
etc=$destdir/etc

# Builds the environment and the program in a new folder, then replaces the old one: a running server, or a failing pip,
# never sees a partial installation.
install_server() {
    new=$destdir$home.new
    trap 'rm -rf "$new"' EXIT
    rm -rf "$new"
    mkdir -p "$new/shim" "$new/config/run"
    tar -cf - --exclude __pycache__ functions state scheduler | tar -xf - --no-same-owner -C "$new"
    cp config/*.py "$new/config/"
    cp config/run/*.py "$new/config/run/"

    "$python" -m venv --symlinks "$new/venv"
    # shellcheck disable=SC2086 # a word for each extra
    "$new/venv/bin/python" - $extras <<'PYTHON' >"$new/requirements.txt"
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for wanted in (project["dependencies"], *(project["optional-dependencies"][name] for name in sys.argv[1:])):
    print(*wanted, sep="\n")
PYTHON
    set -- "$new/venv/bin/python" -m pip --disable-pip-version-check --quiet
    "$@" install --no-compile -r "$new/requirements.txt"
    "$@" uninstall --yes pip setuptools 2>/dev/null
    rm "$new/requirements.txt"

    # Remove the files that contain the path of the folder in which they were built.
    find "$new/venv/bin" -mindepth 1 ! -name 'python*' -exec rm {} +
    sed -i '/^command = /d' "$new/venv/pyvenv.cfg"
    site=$(echo "$new"/venv/lib/python3*/site-packages)
    echo ../../../.. >"$site/resalloc-functions.pth"
    "$new/venv/bin/python" -m compileall -q -s "$new" -p "$home" "$new"

    for file in shim/resalloc*; do
        install -D -m 755 "$file" "$destdir$prefix/bin/${file##*/}"
        ln -s "../../../bin/${file##*/}" "$new/shim/"
    done
    import=$destdir$prefix/bin/resalloc-import
    printf '#!/bin/sh\nexec %s/venv/bin/python -P -m scheduler.importer "$@"\n' "$home" >"$import"
    chmod 755 "$import"
    rm -rf "$destdir$home"
    mv "$new" "$destdir$home"
}

# install_text FILE TARGET: installs a file with its paths changed to this PREFIX. The example server.yaml keeps the log
# with the state, so that it runs anywhere; an installed server logs to the default, which logrotate knows.
install_text() {
    mkdir -p "${2%/*}"
    sed -e "s|/usr/lib/resalloc-functions|$home|g" -e "s|/usr/share/doc/|$prefix/share/doc/|g" \
        -e 's|^logdir: "{state_dir}/log"|#&|' "$1" >"$2"
    if [ -x "$1" ]; then chmod 755 "$2"; else chmod 644 "$2"; fi
}

# install_config FILE TARGET: installs a file unless the target exists.
install_config() {
    if [ -e "$2" ]; then
        echo "install: $2 is kept as it is" >&2
    else
        install_text "$1" "$2"
    fi
}

install_server
mkdir -p "$share/man/man1"
for file in shim/resalloc*; do
    config/man.sh "$file" >"$share/man/man1/${file##*/}.1"
    chmod 644 "$share/man/man1/${file##*/}.1"
done
for program in resalloc resalloc-maint; do # the names by which bash finds them
    install -D -m 644 shim/completions/resalloc.bash "$share/bash-completion/completions/$program"
done
install -D -m 644 shim/completions/_resalloc "$share/zsh/site-functions/_resalloc"
for file in config/systemd/resalloc-functions*; do
    install_text "$file" "$destdir$prefix/lib/systemd/system/${file##*/}"
done
install_text config/systemd/sysusers.conf "$destdir$prefix/lib/sysusers.d/resalloc-functions.conf"
install_text config/systemd/tmpfiles.conf "$destdir$prefix/lib/tmpfiles.d/resalloc-functions.conf"
for file in docs/*.md LICENSE config/nginx.conf config/*.yaml* config/grafana/*; do
    install_text "$file" "$doc/${file##*/}"
done
# Both have the same name.
install_text docs/README.md "$doc/index.md"
install_text README.md "$doc/README.md"

for file in docs/ci/*; do
    install_text "$file" "$doc/ci/${file##*/}"
done

# No other files: agents.yaml, for example, would start agents.
for file in server.yaml pools.yaml; do
    install_config "config/$file" "$etc/resallocserver/$file"
done
for file in config/hooks/*; do
    install_config "$file" "$etc/resallocserver/hooks/${file##*/}"
done
# This is the name that resalloc's own package uses, because logrotate refuses two files for one log.
install_config config/logrotate "$etc/logrotate.d/resalloc-server"
