#!/usr/bin/env bash
# Tests yamabiko with the Autobahn test suite, and checks the report.
#
#     tests/autobahn/run.sh [server|client|both] [SET]
#     tests/autobahn/run.sh --table      prints the last results as a Markdown table
#     tests/autobahn/run.sh --results    prints the last result of each case as CSV
#
# SET is `quick` (the default: all 301 cases without compression and 84 with it),
# `full` (all 517), or one of its two parts, `base` and `deflate`.
#
# The script uses a local Docker image of the suite. If there is none, it installs the
# suite into the folder .autobahn/, which git ignores (install.sh). The server under
# test is `yamabiko echo`, the client is examples/autobahn_client.rs, both in release
# builds. A case uses one connection at a time. Therefore the set is divided into
# parts (cases.py): one for each core, or $AUTOBAHN_JOBS parts. All parts run at once,
# each in its own process of the suite. judge.py describes which report passes.
# The reports are in .autobahn/server/PART/ and .autobahn/client/PART/ (open
# index.html), the summaries in .autobahn/server.json and .autobahn/client.json.
#
# These variables test another peer:
#     AUTOBAHN_SERVER_COMMAND   a server that listens on 127.0.0.1:$PORT
#     AUTOBAHN_CLIENT_COMMAND   a client that runs all cases of $URL as $AGENT
#     AGENT                     its name in the report, one word
#
# The exit status is 0 if everything passed. On two cores and without builds, a role
# takes one minute, and five minutes for `full`. Each part has a time limit. The script
# uses free ports of the loopback interface, and ends only processes that it started.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=tests/autobahn
folder=.autobahn
image=crossbario/autobahn-testsuite
export target=${CARGO_TARGET_DIR:-target}
export message_bytes_max=67108864 # the suite sends messages of 16 MiB
export AGENT=${AGENT:-yamabiko}
started=() # the processes that this script started and must end
trap 'end_processes' EXIT
trap 'exit 130' INT TERM

main() {
  local roles=${1:-both} set=${2:-quick} role failed=0
  case $roles in
    --table | --results) exec python3 "$here/judge.py" "$roles" "$folder"/*.json ;;
    both) roles="server client" ;;
    server | client) ;;
    *) usage ;;
  esac
  case $set in quick | full | base | deflate) ;; *) usage ;; esac
  # The 216 cases of compression transfer 22 GB, and each endpoint compresses them once.
  case $set in deflate | full) seconds_max=2400 ;; *) seconds_max=900 ;; esac
  jobs=${AUTOBAHN_JOBS:-$(nproc)}

  mkdir -p "$folder"
  choose_suite
  for role in $roles; do
    rm -rf "${folder:?}/$role" "$folder/$role.json"
    mkdir -p "$folder/$role"
    "test_$role" "$set" "$folder/$role" &&
      python3 "$here/judge.py" "$role" "$set" "$folder/$role" "$folder/$role.json" || failed=1
    end_processes
  done
  return $failed
}

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$here/run.sh" >&2
  exit 2
}

choose_suite() {
  if docker image inspect "$image" >/dev/null 2>&1; then
    suite=docker
  else
    suite=installed
    "$here/install.sh" "$folder/suite"
  fi
}

# The suite's fuzzing clients against our server.
test_server() {
  local set=$1 report=$2 port part failed=0 suites=()
  port=$(free_port)
  if [ -z "${AUTOBAHN_SERVER_COMMAND:-}" ]; then
    cargo build --release --quiet --bin yamabiko || return 1
  fi
  local command='"$target/release/yamabiko" echo --listen "127.0.0.1:$PORT" --message-bytes-max "$message_bytes_max"'
  export PORT=$port
  in_background "$report/server.log" bash -c "exec ${AUTOBAHN_SERVER_COMMAND:-$command}"
  wait_for_port "$port" "$report/server.log" || return 1
  for part in $(seq "$jobs"); do
    configure server "$set" "$part" "$port" "$report/$part" || return 1
    in_background "$report/$part/suite.log" wstest fuzzingclient "$report/$part"
    suites[part]=${started[-1]}
  done
  for part in $(seq "$jobs"); do
    wait "${suites[part]}" || { fault "the suite failed" "$report/$part/suite.log"; failed=1; }
  done
  return $failed
}

# Our client, once for each part, against fuzzing servers of the suite.
test_client() {
  local set=$1 report=$2 part failed=0 clients=()
  if [ -z "${AUTOBAHN_CLIENT_COMMAND:-}" ]; then
    cargo build --release --quiet --example autobahn_client || return 1
  fi
  for part in $(seq "$jobs"); do
    start_client "$set" "$part" "$report/$part" || return 1
    clients[part]=${started[-1]}
  done
  for part in $(seq "$jobs"); do
    wait "${clients[part]}" || { fault "the client failed" "$report/$part/client.log"; failed=1; }
  done
  return $failed
}

start_client() {
  local set=$1 part=$2 report=$3 port
  port=$(free_port)
  configure client "$set" "$part" "$port" "$report" || return 1
  in_background "$report/suite.log" wstest fuzzingserver "$report"
  wait_for_port "$port" "$report/suite.log" || return 1
  local command='"$target/release/examples/autobahn_client" "$URL" "$AGENT"'
  export URL=ws://127.0.0.1:$port
  in_background "$report/client.log" bounded bash -c "exec ${AUTOBAHN_CLIENT_COMMAND:-$command}"
}

# The configuration that the suite reads, with paths as the suite sees them.
configure() {
  local role=$1 set=$2 part=$3 port=$4 report=$5 seen=$PWD/$5
  [ "$suite" = installed ] || seen=/report
  mkdir -p "$report"
  python3 "$here/cases.py" "$role" "$set" "$part/$jobs" "ws://127.0.0.1:$port" "$seen" >"$report/configuration.json"
}

wstest() {
  local mode=$1 report=$2 options=()
  # Without this option, the fuzzing server also serves its pages on a fixed port.
  [ "$mode" = fuzzingclient ] || options=(--webport 0)
  if [ "$suite" = docker ]; then
    # docker's client and --init pass a signal on to the suite.
    bounded docker run --rm --init --network host --user "$(id -u):$(id -g)" --volume "$PWD/$report:/report" \
      "$image" wstest --mode "$mode" --spec /report/configuration.json "${options[@]}"
  else
    bounded "$folder/suite/wstest" --mode "$mode" --spec "$report/configuration.json" "${options[@]}"
  fi
}

# Only for background processes: `exec` replaces the shell, so that the recorded process
# id is that of `timeout`, which passes signals on.
bounded() { exec timeout "$seconds_max" "$@"; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

in_background() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  started+=("$!")
}

# Waits until the last started process listens: at most two minutes, and only while the
# process runs.
wait_for_port() {
  local port=$1 log=$2 tenth
  for tenth in $(seq 1200); do
    kill -0 "${started[-1]}" 2>/dev/null || break
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    sleep 0.1
  done
  fault "nothing listens on 127.0.0.1:$port" "$log"
  return 1
}

fault() {
  echo "autobahn: $1; the end of $2:" >&2
  tail -n 5 "$2" >&2
}

end_processes() {
  local process
  for process in "${started[@]}"; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  started=()
}

main "$@"
