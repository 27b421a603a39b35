#!/usr/bin/env bash
# Launches a cluster: brings every worker of the config, over ssh, what it needs, starts it there, and
# starts the API and the watcher here.
#
#   scripts/launch.sh                  all workers, then the API and the watcher
#   scripts/launch.sh --workers 1,3    only these workers
#   scripts/launch.sh --api-only       only the API; the workers run already
#
# --config FILE       the config; as everywhere, else $GROVE_CONFIG, configs/config.yaml or
#                     ~/.config/grove/config.yaml
# --data DIR          workers keep their data in DIR/worker_N; DIR must be there (~/.local/share/grove,
#                     or where it was the last time)
# --program FILE      send this grove instead of building one
# --ssh-config FILE   passed to ssh as -F
# --service           systemd services instead of tmux sessions; needs root, or sudo without a password
#
# A worker is reached by its `host`, or by its `ip` where ssh knows no such host. It gets the program
# built here, or, where that does not run, the source, and builds it. Nothing is asked: keys, not
# passwords. Run it again at any time: what runs, and would run the same, is left alone. A host that
# fails is named with its reason, the others go on, and the exit status is 1.
set -euo pipefail

say() { printf '%s\n' "$1"; }
fail() { echo "launch: $1" >&2; exit "${2:-1}"; }

api=yes workers=all service=no config="" data="" program="" ssh_config=""
while (( $# > 0 )); do
  case "$1" in
    --workers) workers="${2:?--workers needs ranks, such as 1,3}"; shift ;;
    --api-only) api=only ;;
    --config) config="$(realpath "${2:?--config needs a path}")"; shift ;;
    --data) data="${2:?--data needs a path}"; shift ;;
    --program) program="$(realpath "${2:?--program needs a path}")"; shift ;;
    --ssh-config) ssh_config="$(realpath "${2:?--ssh-config needs a path}")"; shift ;;
    --service) service=yes ;;
    --help) sed --quiet '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) fail "unknown option $1; see --help" 2 ;;
  esac
  shift
done
[[ "$workers" == all || "$workers" =~ ^[0-9]+(,[0-9]+)*$ ]] ||
  fail "--workers takes ranks, such as 1,3, not $workers" 2
[[ "$workers" == all || "$api" == yes ]] || fail "--workers and --api-only exclude each other" 2
[[ "$workers" == all ]] || api=no
[[ -z "$data" || "$data" == /* ]] || fail "--data must be an absolute path: $data" 2
[[ -z "${GROVE_CONFIG:-}" ]] || GROVE_CONFIG="$(realpath "$GROVE_CONFIG")"

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install_dependencies --run
if [[ -z "$program" ]]; then
  scripts/build --target grove
  program="$PWD/build/grove"
fi

[[ -x "$program" ]] || fail "$program is not there, or is no program; give another --program" 2
checked="$("$program" config --json ${config:+--config "$config"})"
# The config's own path, then one line for each worker: rank, ip, host. The host is free text.
devices="$(/usr/bin/python3 -c '
import json, sys
config = json.load(sys.stdin)
print(config["source"])
for worker in config["devices_config"]["workers"]:
    print(worker["rank"], worker["ip"], "".join(filter(str.isprintable, worker["host"])))
' <<<"$checked")"
config="${devices%%$'\n'*}"
declare -A host_of ip_of
ranks=()
while read -r rank ip host; do
  host_of["$rank"]="$host" ip_of["$rank"]="$ip"
  ranks+=("$rank")
done <<<"${devices#*$'\n'}"
if [[ "$workers" != all ]]; then
  known=("${ranks[@]}")
  mapfile -t ranks < <(tr , '\n' <<<"$workers" | sort --numeric-sort --unique)
  for rank in "${ranks[@]}"; do
    [[ -n "${ip_of[$rank]:-}" ]] || fail "$config has no worker of rank $rank; it has ${known[*]}" 2
  done
elif [[ "$api" == only ]]; then
  ranks=()
fi

# In /tmp whatever TMPDIR says: the sockets of ssh's shared connections lie here, and their paths
# must be short.
scratch="$(mktemp --directory /tmp/grove-launch.XXXXXX)"
keep_logs=no
clean_up() {
  local status=$?
  trap - EXIT
  exec 2>/dev/null  # bash announces every job that is killed
  for job in $(jobs -p); do kill -- "-$job" || true; done
  wait || true  # they write to the scratch folder
  for socket in "$scratch"/ssh-*; do
    [[ ! -S "$socket" ]] || ssh -O exit -o ControlPath="$socket" there || true
  done
  [[ "$keep_logs" == yes ]] || rm --recursive --force "$scratch"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# One connection for each host, shared by all steps; a host that goes silent is noticed in 15 s.
ssh_command=(ssh -T ${ssh_config:+-F "$ssh_config"} -o BatchMode=yes -o ConnectTimeout=10
  -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -o LogLevel=ERROR -o ControlMaster=auto
  -o ControlPersist=30 -o "ControlPath=$scratch/ssh-%C")
export RSYNC_RSH="${ssh_command[*]@Q}"

# What follows runs once for each machine, side by side with the others, each in a process of its own
# in which these are set: first (its first rank), target (what ssh calls it), machine (what uname -m
# calls it), errors, log.

name_of() { echo "rank $1 (${host_of[$1]})"; }

# The line that says why the last command failed.
reason() {
  grep --max-count=1 '^E: \|command not found\|Permission denied' "$errors" ||
    grep . "$errors" | grep --invert-match '^rsync error\|^Connection to .* closed' | tail --lines=1 ||
    echo "no reason was given"
}

# step WHAT COMMAND...: runs it; when it fails, `failure` says what failed and why.
step() {
  local what="$1"
  shift
  say "  … $(name_of "$first"): $what"
  "$@" >"$scratch/out.$first" 2>"$errors" || {
    failure="$what failed: $(reason)"
    cat "$errors" >>"$log"
    return 1
  }
}

remote() { "${ssh_command[@]}" "$target" "$1"; }

# For rsync, an IPv6 address stands in brackets.
send() {
  local there="$target:"
  [[ "$target" != *:* ]] || there="[$target]:"
  rsync --recursive --links --perms --times --compress "${@:1:$#-1}" "$there${!#}"
}

# The config's `host` is a name of ssh's; where there is no such name, the address will do.
connect() {
  local made="mkdir -p .local/lib/grove/sent .local/lib/grove/source .config/grove && uname -m"
  for target in "${host_of[$first]}" "${ip_of[$first]}"; do
    [[ "$target" =~ ^[A-Za-z0-9_][A-Za-z0-9_.:%@-]*$ ]] || continue
    ! remote "$made" || return 0
    grep --quiet 'Could not resolve hostname' "$errors" || return 1
  done
  return 1
}

# Read as a whole before it runs: what it starts may read its input too.
install_packages() {
  "${ssh_command[@]}" "$target" 'bash -c "$(cat)" install_dependencies --run' <scripts/install_dependencies
}

send_scripts() {
  send --delete scripts/answers scripts/keep_running scripts/start_in_tmux scripts/worker_data \
    scripts/install_service.sh scripts/systemd .local/lib/grove/
}

# The worker's config may be somebody's own: what it replaces stays as config.yaml~.
send_config() { send --backup "$config" .config/grove/config.yaml; }

# Sets `there`: where the program is that runs on that machine.
bring_program() {
  if [[ "$machine" == "$(uname -m)" ]]; then
    step "sending the program" send "$program" .local/lib/grove/sent/grove || return 1
    there=.local/lib/grove/sent/grove
    ! remote "$there version" >/dev/null 2>>"$log" || return 0
    say "  … $(name_of "$first"): the program built here does not run there"
  fi
  there=.local/lib/grove/source/build/grove
  step "sending the source" send --delete CMakeLists.txt src scripts .local/lib/grove/source/ &&
    step "building there" remote '.local/lib/grove/source/scripts/build --target grove'
}

# What the API will see: the worker of this rank, at the address that the config gives.
look_for() {
  local reply
  reply="$(scripts/answers --worker "$1" <<<"$checked" 2>&1)" || {
    echo "$reply, though it does on its own machine: check ip and port in the config, and its firewall" >&2
    return 1
  }
  echo "$reply"
}

start_worker() {
  local script=start_in_tmux
  [[ "$service" == no ]] || script=install_service.sh
  local arguments=(--worker "$1" --program "$there" --config .config/grove/config.yaml
    ${data:+--data "$data"})
  remote ".local/lib/grove/$script ${arguments[*]@Q}"
}

# launch_machine RANK...: the workers of one machine. Leaves, for each, a line in result.RANK.
launch_machine() {
  first="$1" errors="$scratch/errors.$1" log="$scratch/log.$1" failure="" there=""
  step "connecting" connect && machine="$(<"$scratch/out.$first")" &&
    step "installing packages" install_packages && step "sending scripts" send_scripts &&
    step "sending the config" send_config && bring_program || true
  for rank in "$@"; do
    local outcome="✗" text="$failure"
    if [[ -z "$failure" ]]; then
      if step "starting worker $rank" start_worker "$rank"; then
        text="$(tail --lines=1 "$scratch/out.$first")"
        step "looking for worker $rank" look_for "$rank" && outcome="✓" || text="$failure"
      else
        text="$failure"
      fi
      failure=""
    fi
    [[ "$outcome" == "✗" ]] || text+=", answers at $(<"$scratch/out.$first")"
    printf '  %s %s: %s\n' "$outcome" "$(name_of "$rank")" "$text" >"$scratch/result.$rank"
  done
}

# Workers at one address share a machine, and so its packages and its program.
declare -A ranks_at
addresses=()
for rank in "${ranks[@]}"; do
  ip="${ip_of[$rank]}"
  [[ -n "${ranks_at[$ip]:-}" ]] || addresses+=("$ip")
  ranks_at["$ip"]+=" $rank"
done
set -m  # a process group for each job, so that an interrupted launch leaves no ssh behind
for ip in "${addresses[@]}"; do
  launch_machine ${ranks_at[$ip]} </dev/null &
done
wait
set +m

failures=0
for rank in "${ranks[@]}"; do
  cat "$scratch/result.$rank"
  ! grep --quiet '^  ✗' "$scratch/result.$rank" || (( ++failures ))
done

if [[ "$api" != no ]]; then
  script=start_in_tmux
  [[ "$service" == no ]] || script=install_service.sh
  arguments=(--api --program "$program" --config "$config")
  [[ "$api" == yes ]] || arguments+=(--no-watch)
  if "scripts/$script" "${arguments[@]}" >"$scratch/out.api" 2>"$scratch/log.api"; then
    say "  ✓ API: $(tail --lines=1 "$scratch/out.api"), answers at $(scripts/answers --api <<<"$checked")"
  else
    errors="$scratch/log.api"
    say "  ✗ API: $(reason)"
    (( ++failures ))
  fi
fi
if (( failures > 0 )); then
  keep_logs=yes
  say "$failures failed; what they said in full is in $scratch"
  exit 1
fi
