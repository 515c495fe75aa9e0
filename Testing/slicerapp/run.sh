#!/usr/bin/env bash
# Start the SlicerApp that build.sh made, inside its chroot, under a virtual screen. Needs root.
#   run.sh WORK [SlicerApp arguments...]
# WORK is build.sh's folder. Exit code: SlicerApp's; 124 after SLICERAPP_TIMEOUT seconds (default 600).
#   SLICERAPP_MOUNTS   folders of this machine to show inside, at the same path (space separated; the checkout that
#                      holds this script and the Python that its virtual environment needs are always shown)
#   SLICERAPP_HOME     home folder inside (settings, caches; default: a fresh one, removed afterwards)
#   SLICERAPP_DISPLAY  an X display to use instead of a new Xvfb
#   SLICERAPP_SCREEN   size of the virtual screen (default 1600x1000x24)
#   SLICERAPP_ENV      more environment, NAME=VALUE separated by spaces
#   SLICERAPP_EXEC     run this program inside, in the same surroundings, instead of SlicerApp-real
set -eu
W=$(realpath "$1"); shift
R=$W/forky; B=$W/b/Slicer
show() { [ -e "$1" ] || return 0; mkdir -p "$R$1"; mountpoint -q "$R$1" || mount --rbind "$1" "$R$1"; }
here=$(dirname "$(realpath "$0")"); top=$(git -C "$here" rev-parse --show-toplevel 2>/dev/null || realpath "$here/../..")
for m in /proc /sys /dev /tmp "$W"; do case "$W" in /tmp/*) [ "$m" = "$W" ] && continue ;; esac; show "$m"; done
covered() { for m in /tmp "$W" ${SLICERAPP_MOUNTS:-}; do case "$1/" in "$m"/*) return 0 ;; esac; done; return 1; }
for m in ${SLICERAPP_MOUNTS:-}; do show "$(realpath "$m")"; done
covered "$top" || show "$top"
if [ -x "$top/.venv/bin/python" ]; then prefix=$("$top/.venv/bin/python" -c 'import sys; print(sys.base_prefix)'); covered "$prefix" || [ "$prefix" = /usr ] || show "$prefix"; fi

home=${SLICERAPP_HOME:-}; made=
[ -n "$home" ] || { home=$(mktemp -d /tmp/slicerapp-home.XXXXXX); made=$home; }
mkdir -p "$home"; case "$home" in /tmp/*) ;; *) covered "$home" || show "$home" ;; esac
server=
cleanup() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$made" ] || rm -rf "$made"; }
trap cleanup EXIT
display=${SLICERAPP_DISPLAY:-}
if [ -z "$display" ]; then
  fifo=$(mktemp -u /tmp/slicerapp-display.XXXXXX); mkfifo "$fifo"
  chroot "$R" /usr/bin/Xvfb -displayfd 3 -screen 0 "${SLICERAPP_SCREEN:-1600x1000x24}" -nolisten tcp +extension GLX 3>"$fifo" >/dev/null 2>&1 &
  server=$!
  read -r number < "$fifo"; rm -f "$fifo"; display=:$number
fi
code=0 # --foreground: in the caller's process group, which is how test_in_slicer.py ends everything
# shellcheck disable=SC2086
chroot "$R" /usr/bin/env -i HOME="$home" USER=root DISPLAY="$display" PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  XDG_RUNTIME_DIR="$home" LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb NO_AT_BRIDGE=1 SLICER_HOME="$B" \
  QT_PLUGIN_PATH="$B/bin:$W/b/CTK/bin" ${SLICERAPP_ENV:-} \
  /usr/bin/timeout --foreground -k 10 "${SLICERAPP_TIMEOUT:-600}" bash -c 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"' - "$PWD" "${SLICERAPP_EXEC:-$B/bin/SlicerApp-real}" "$@" || code=$?
exit "$code"
