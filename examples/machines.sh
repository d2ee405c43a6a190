#!/bin/sh
# Runs an example that needs several machines on this one: a node of its own for each machine the document names, paired
# by code, with two small programs in the place of the models. Everything lies in a temporary folder and goes with it.
#
#     sh examples/machines.sh two-machines
#     sh examples/machines.sh around-the-clock
#     sh examples/machines.sh mixed-hardware
set -eu

here=$(cd "$(dirname "$0")" && pwd)
document="$here/connectors/${1:?say which example: two-machines, around-the-clock or mixed-hardware}.connector.json"
hosts=$(grep -o '[A-Z0-9-]*\.local' "$document" | sed 's/\.local$//' | awk '!seen[$0]++')
first=$(echo "$hosts" | head -n 1)
room=$(mktemp -d)

on() { # HOST WORDS…: niia on that machine
    host=$1
    shift
    NIIA_HOME="$room/$host" niia "$@"
}

leave() {
    for host in $hosts; do on "$host" daemon stop >/dev/null 2>&1 || true; done
    rm -rf "$room"
}
trap leave EXIT

mkdir "$room/bin" "$room/project"
for tool in claude ollama; do
    printf '#!/bin/sh\necho "${0##*/} in $NIIA_PHASE, on ${NIIA_HOME##*/}" | tee "$NIIA_PHASE-$NIIA_WORKER.txt"\n' \
        >"$room/bin/$tool"
    chmod +x "$room/bin/$tool"
done
export PATH="$room/bin:$PATH"

for host in $hosts; do
    mkdir -p "$room/$host/config"
    printf '[network]\nname = "%s"\nlisten = "127.0.0.1:0"\ndiscover = false\n' "$host" \
        >"$room/$host/config/niia.toml"
    on "$host" daemon start >/dev/null
done

for host in $hosts; do
    [ "$host" = "$first" ] && continue
    on "$host" pair --json >"$room/code" &
    until grep -q '"code"' "$room/code" 2>/dev/null; do sleep 0.1; done
    code=$(sed -n 's/.*"code":"\([^"]*\)".*/\1/p' "$room/code" | head -n 1)
    port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$room/code" | head -n 1)
    on "$first" pair "$code" "127.0.0.1:$port" | head -n 1
    wait $!
done

cd "$room/project"
git init -q
git -c user.name=example -c user.email=example@example.com commit -q --allow-empty -m begin
run=$(on "$first" run "$document" --detach --no-input 2>/dev/null | sed -n 's/^run //p')
while on "$first" status "$run" --json | grep -q '"state":"running"'; do
    # Nobody is asked here: what waits for a person's word gets it.
    on "$first" approve "$run" >/dev/null 2>&1 || sleep 0.3
done
on "$first" status "$run"
on "$first" diff "$run" --stat
