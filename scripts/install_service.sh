#!/usr/bin/env bash
# Installs a worker, or the API with its watcher, of this machine as a systemd service: started at boot,
# started again whenever it ends, hardened, its log in the journal. scripts/launch.sh --service does it
# for a whole cluster.
#
#   scripts/install_service.sh --worker N        grove-worker-N.service
#   scripts/install_service.sh --api             grove-api.service; --no-watch leaves the watcher out
#   … --uninstall                                stops and removes it; data and config stay
#
# --config FILE    the config (~/.config/grove/config.yaml)
# --data DIR       a worker's data is in DIR/worker_N (see scripts/worker_data)
# --program FILE   the grove to install (build/grove); it is copied to /usr/local/lib/grove
# --user NAME      whom it runs as, and whose ~ is meant (who calls this, also by way of sudo)
#
# Needs root, or sudo. Idempotent: a service that would be the same is left alone. The same worker in a
# tmux session is stopped first. Prints one line when grove answers; else says why it does not, with
# status 1, and leaves it to systemd, which tries again.
set -euo pipefail

readonly ready_seconds=20
here="$(dirname "$(realpath "${BASH_SOURCE[0]}")")"
fail() { echo "install_service: $1" >&2; exit "${2:-1}"; }
original=("$@")
role="" rank="" watch="" uninstall=no config="" data="" program=""
user="${SUDO_USER:-$(id --user --name)}"
while (( $# > 0 )); do
  case "$1" in
    --worker) role=worker; rank="${2:?--worker needs a rank}"; shift ;;
    --api) role=api ;;
    --no-watch) watch=--no-watch ;;
    --uninstall) uninstall=yes ;;
    --config) config="${2:?--config needs a path}"; shift ;;
    --data) data="${2:?--data needs a path}"; shift ;;
    --program) program="${2:?--program needs a path}"; shift ;;
    --user) user="${2:?--user needs a name}"; shift ;;
    --help) sed --quiet '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) fail "unknown option $1; see --help" 2 ;;
  esac
  shift
done
case "$role" in
  worker) [[ "$rank" =~ ^[0-9]+$ ]] || fail "--worker takes a rank, not $rank" 2
          unit="grove-worker-$rank.service" session="syncps_worker_$rank"
          whom=(--worker "$rank" --here) ;;
  api) unit=grove-api.service session=syncps_api whom=(--api) ;;
  *) fail "--worker N or --api is needed; see --help" 2 ;;
esac
(( EUID == 0 )) || exec sudo -- "$(realpath "$0")" "${original[@]}" --user "$user"

home="$(getent passwd "$user" | cut --delimiter=: --fields=6)" || true
[[ -n "$home" ]] || fail "there is no user $user here"
units=/etc/systemd/system installed=/usr/local/lib/grove/grove
as_user() { runuser --user "$user" -- env HOME="$home" "$@"; }

if [[ "$uninstall" == yes ]]; then
  [[ -e "$units/$unit" ]] || fail "$unit is not installed here"
  systemctl --quiet disable --now "$unit"
  rm "$units/$unit"
  systemctl daemon-reload
  # The last one takes the program along.
  compgen -G "$units/grove-*.service" >/dev/null || rm --recursive --force "${installed%/*}"
  echo "removed $unit"
  exit 0
fi

if [[ -z "$program" ]]; then
  program="$here/grove"  # where launch.sh brought it
  [[ -x "$program" ]] || program="$here/../build/grove"
fi
[[ -x "$program" ]] || fail "$program is not there; make it with scripts/build, or give --program"
config="$(realpath --canonicalize-missing "${config:-$home/.config/grove/config.yaml}")"
[[ -r "$config" ]] || fail "$config is not there; give --config"

# Values for the template, as sed commands. What systemd or sed would read differently is refused.
values=()
value() {
  [[ "$2" =~ ^[A-Za-z0-9/._+@-]*$ ]] || fail "$2: a unit can only have letters, digits and /._+@- in it"
  values+=(--expression "s|@$1@|$2|g")
}

stop_tmux_session() {
  local pid
  pid="$(as_user tmux display-message -p -t "=$session:" '#{pane_pid}' 2>/dev/null)" || return 0
  kill -s TERM "$pid" 2>/dev/null || true
  for (( tries = 0; tries < 150; ++tries )); do
    as_user tmux has-session -t "=$session" 2>/dev/null || return 0
    sleep 0.1
  done
  as_user tmux kill-session -t "=$session" 2>/dev/null || true
}

# What the unit said last of itself. Without a journal, nothing.
last_words() {
  journalctl --sync 2>/dev/null || true
  journalctl --quiet --no-pager --identifier="${unit%.service}" --since="@$1" --lines=1 --output=cat \
    2>/dev/null | sed 's/^critical //' || true
}

# A unit counts as active before grove listens, which after a crash may take its disk a while, and between
# two tries it does not.
wait_until_it_answers() {
  local reply="" said="" began="$EPOCHSECONDS" patient_until=$(( SECONDS + ready_seconds ))
  while true; do
    reply="$("$here/answers" "${whom[@]}" <<<"$checked" 2>&1)" && return 0
    if ! systemctl --quiet is-active "$unit"; then
      said="$(last_words "$began")"
      fail "${said:-$reply; it ended, see: journalctl -u $unit}"
    fi
    (( SECONDS < patient_until )) || break
    sleep 0.2
  done
  fail "$reply; see: journalctl -u $unit; to have it started again: systemctl restart $unit"
}

scratch="$(mktemp --directory)"
trap 'rm --recursive --force "$scratch"' EXIT
mkdir --parents "${installed%/*}"
if ! cmp --silent "$program" "$installed"; then
  install --mode=755 "$program" "$installed.new"
  mv --force "$installed.new" "$installed"
fi

value USER "$user"
value RANK "$rank"
value PROGRAM "$installed"
value CONFIG "$config"
value CONFIG_FOLDER "${config%/*}"
checked="$(as_user "$installed" config --config "$config" --json)"
if [[ "$role" == worker ]]; then
  folder="$(as_user "$here/worker_data" --rank "$rank" --grove "$installed" --config "$config" \
            ${data:+--data "$data"})"
  value DATA "$folder"
  read_at_start="$(sha256sum <"$config")"
else
  { read -r ckpt_root; read -r shards_root; read -r read_at_start; } < <(/usr/bin/python3 -c '
import json, sys
config = json.load(sys.stdin)
print(config["ckpt_root"], config["shards_root"], json.dumps(config["api"]), sep="\n")' <<<"$checked")
  # They may be missing before the first store and the first gather.
  as_user mkdir --parents "$ckpt_root" "$shards_root"
  value CKPT_ROOT "$ckpt_root"
  value SHARDS_ROOT "$shards_root"
  value WATCH "$watch"
fi
# What is read at the start stands in the unit, so that another program or config is another unit.
{
  sed "${values[@]}" "$here/systemd/grove-$role.service"
  printf '\n# Program: %s\n# Config: %s\n' "$(sha256sum <"$installed")" "$read_at_start"
} >"$scratch/$unit"
systemd-analyze verify "$scratch/$unit" >&2 || fail "systemd does not take $unit (see above)"

if cmp --silent "$scratch/$unit" "$units/$unit" && systemctl --quiet is-active "$unit"; then
  wait_until_it_answers
  echo "already running as $unit"
  exit 0
fi
stop_tmux_session
cp "$scratch/$unit" "$units/$unit"
systemctl daemon-reload
systemctl --quiet enable "$unit"
systemctl restart "$unit"
wait_until_it_answers
echo "started as $unit"
