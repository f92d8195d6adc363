# Sourced by quickstart and test: runs commands so that an interruption leaves no process behind.
# shellcheck shell=bash

# Each command gets a process group of its own (set -m), so that one signal ends it with all that it started.
set -m
running=""
beside=""

# run COMMAND...: runs it, returns its status. A signal to the script ends the command first; if the script itself is
# killed (-9), the command gets SIGTERM from the kernel.
run() {
  local status=0
  local guard=()
  # setpriv cannot start shell functions; none is run here.
  if setpriv --pdeathsig TERM true 2>/dev/null; then guard=(setpriv --pdeathsig TERM); fi
  "${guard[@]}" "$@" </dev/null &
  running=$!
  wait "$running" || status=$?
  running=""
  return "$status"
}

# run_beside LOG COMMAND...: starts it with what processors have to spare, and returns; its output goes to the file.
run_beside() {
  local log=$1 guard=()
  shift
  if setpriv --pdeathsig TERM true 2>/dev/null; then guard=(setpriv --pdeathsig TERM); fi
  "${guard[@]}" nice -n 19 "$@" </dev/null >"$log" 2>&1 &
  beside=$!
  disown "$beside"  # or the shell tells of its end
}

# Ends what runs beside, done or not.
end_beside() {
  [[ -n $beside ]] || return 0
  end_group TERM "$beside"
  beside=""
}

end_group() {
  local signal=$1 group=$2
  kill -"$signal" -- "-$group" 2>/dev/null || true
  # Ten seconds to end in order, for instance to remove what is half written.
  for _ in {1..100}; do
    kill -0 -- "-$group" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$group" 2>/dev/null || true
}

end_running() {
  local signal=$1 status=$2
  trap '' INT TERM HUP
  if [[ -n $beside ]]; then end_group "$signal" "$beside"; fi
  if [[ -n $running ]]; then end_group "$signal" "$running"; fi
  echo "${0##*/}: interrupted; run it again to go on" >&2
  exit "$status"
}
trap 'end_running INT 130' INT
trap 'end_running TERM 143' TERM
trap 'end_running TERM 129' HUP

# A compiler with sanitizers takes up to 1.5 GB: as many at a time as processors and memory allow.
build_jobs() {
  local processors memory_kb fitting
  processors=$(nproc)
  memory_kb=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  fitting=$((${memory_kb:-4000000} / 1500000))
  ((fitting >= 1)) || fitting=1
  echo $((fitting < processors ? fitting : processors))
}
