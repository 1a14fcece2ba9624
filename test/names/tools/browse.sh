#!/bin/sh
# browse.sh FOLDER AUTHORITY URL…: prints the DOM of each page, which a headless Chromium with a profile of its own in FOLDER loads
# one after the other, with this authority.
set -e
folder=$1
authority=$2
shift 2
export HOME="$folder" XDG_CONFIG_HOME="$folder/config" XDG_CACHE_HOME="$folder/cache"
database=$folder/.pki/nssdb
if [ ! -d "$database" ]; then
  mkdir -p "$database"
  certutil -d "sql:$database" -N --empty-password
  certutil -d "sql:$database" -A -t CP,, -n lab -i "$authority"
fi
for url; do
  timeout 150 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --disable-extensions --user-data-dir="$folder/profile" \
    --dump-dom "$url"
done
