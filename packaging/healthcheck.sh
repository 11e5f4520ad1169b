#!/bin/bash
# Whether the server of this container takes photos: exit status 0 where /readyz answers 200. Starts nothing but bash.
# The port is the one that the server was started with, read from the command line of the first process (or from the file given).
port=7000
mapfile -d '' -t words < "${1:-/proc/1/cmdline}"
for index in "${!words[@]}"; do
    case ${words[index]} in
        --port) port=${words[index + 1]} ;;
        --port=*) port=${words[index]#--port=} ;;
    esac
done
exec 3<> "/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
