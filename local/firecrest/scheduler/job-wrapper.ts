/**
 * The program between the scheduler and a job's script. It runs in a session of its own, so it outlives the server; it
 * enforces the time limit by itself and leaves behind how the script ended.
 *
 * Arguments: run folder, working directory, stdin, stdout, stderr, time limit in seconds (0 = none), seconds between TERM
 * and KILL, `append` or `truncate`. In the run folder: `slurm_script` (the script), `pid` (written here first), `timeout`
 * (made when the limit strikes), `exit` (exit status and end time in milliseconds, written last and in one move).
 *
 * At its end it kills whatever the script left running in its process group, itself included.
 */
export const JOB_WRAPPER = `#!/bin/bash
run=$1 dir=$2 in=$3 out=$4 err=$5 limit=$6 grace=$7 mode=$8
# A handler, not "ignore": the script must be able to get these signals.
trap : TERM INT HUP USR1 USR2 XCPU
printf '%s\\n' "$$" >"$run/pid.new" && command -p mv "$run/pid.new" "$run/pid"

finish() {
  now=$(command -p date +%s%3N 2>/dev/null); case $now in *N|'') now=$(command -p date +%s)000 ;; esac
  printf '%s %s\\n' "$1" "$now" >"$run/exit.new" && command -p mv "$run/exit.new" "$run/exit"
  kill -KILL 0
}

[ "$mode" = truncate ] && { : >"$out" || finish open; } 2>/dev/null
{ : >>"$out" || finish open; } 2>/dev/null
if [ "$err" != "$out" ]; then
  [ "$mode" = truncate ] && { : >"$err" || finish open; } 2>/dev/null
  { : >>"$err" || finish open; } 2>/dev/null
fi
[ -r "$in" ] || finish open

if [ "$limit" != 0 ]; then
  ( trap '' TERM INT HUP
    command -p sleep "$limit" || exit
    : >"$run/timeout"
    printf 'slurmstepd: error: *** JOB %s ON %s CANCELLED AT %s DUE TO TIME LIMIT ***\\n' "$SLURM_JOB_ID" "$SLURMD_NODENAME" "$(command -p date +%Y-%m-%dT%H:%M:%S)" >>"$err"
    kill -TERM 0
    command -p sleep "$grace"
    kill -KILL 0 ) >/dev/null 2>&1 &
fi

if ! cd -- "$dir" 2>/dev/null; then
  printf '%s\\n' "slurmstepd: error: couldn't chdir to \\\`$dir': No such file or directory: going to /tmp instead" >>"$err"
  cd /tmp
fi
if [ "$err" = "$out" ]; then "$run/slurm_script" <"$in" >>"$out" 2>&1
else "$run/slurm_script" <"$in" >>"$out" 2>>"$err"; fi
finish $?
`;
