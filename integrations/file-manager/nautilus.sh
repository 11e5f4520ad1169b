#!/bin/bash
# "Remove background" for GNOME's Files (Nautilus), Cinnamon's Nemo and MATE's Caja: they run it with the paths of the chosen files, one a
# line, in a variable of their own.
IFS=$'\n' read -r -d '' -a files <<< "${NAUTILUS_SCRIPT_SELECTED_FILE_PATHS:-${NEMO_SCRIPT_SELECTED_FILE_PATHS:-${CAJA_SCRIPT_SELECTED_FILE_PATHS:-}}}"
[ "${#files[@]}" -gt 0 ] || files=("$@")
[ "${#files[@]}" -gt 0 ] || exit 0
PATH=$HOME/.local/bin:$PATH
if message=$(liftout cut --quiet -- "${files[@]}" 2>&1); then
    title="Background removed" message="${#files[@]} file(s), saved beside the originals"
else
    title="Not every background was removed"
fi
if command -v notify-send > /dev/null; then
    notify-send --icon=image-x-generic "$title" "$message"
else
    printf '%s: %s\n' "$title" "$message"
fi
