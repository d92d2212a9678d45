/**
 * What PostgreSQL runs for each file it wants during recovery: `restore-wal.sh NAME DESTINATION`. It moves the
 * file from the directory it lies in, where the process that runs the recovery puts it beforehand. Its exit status decides
 * whether the database may open (law L7): 1 says that the file is not in the plan, which PostgreSQL takes for the end of
 * the WAL; anything above 125 stops recovery. So whatever goes wrong with a planned file gives 200.
 */
export const restoreScriptName = 'restore-wal.sh'

export const feedFiles = {
  /** The names of all planned files, one a line. */
  plan: 'plan',
  /** The process that brings the files. */
  pid: 'pid',
  /** The file that PostgreSQL asked for last, and the number of the process that waits for it. */
  wanted: 'wanted',
  /** Why no more files will come. */
  failed: 'failed',
  /** The files. */
  ready: 'ready',
} as const

export const restoreScript = `#!/bin/sh
# Written by Holdfast for one recovery. PostgreSQL runs it as: restore-wal.sh NAME DESTINATION
set -u
name=$1
destination=$2
feed=\${0%/*}

stop() {
  echo "holdfast: cannot restore $name: $1" >&2
  exit 200
}

# Only a file that is not planned may count as the end of the WAL; one that lies ready is planned.
if [ ! -f "$feed/ready/$name" ]; then
  grep -Fqx -- "$name" "$feed/plan"
  case $? in
    0) ;;
    1) exit 1 ;;
    *) stop 'the plan cannot be read' ;;
  esac
fi

# With our number: PostgreSQL may ask for the same file twice.
if ! printf '%s %s\\n' "$name" "$$" >"$feed/wanted"; then
  stop 'the request cannot be written'
fi
until [ -f "$feed/ready/$name" ]; do
  if [ -e "$feed/failed" ]; then
    stop "$(cat "$feed/failed")"
  fi
  kill -0 "$(cat "$feed/pid")" 2>/dev/null || stop 'the process that brings WAL is gone'
  sleep 0.02 2>/dev/null || sleep 1
done
# A segment is moved, which takes no time whatever its size; the few history files are asked for several times.
case $name in
  *.history) cp -- "$feed/ready/$name" "$destination" || stop 'it cannot be copied' ;;
  *) mv -f -- "$feed/ready/$name" "$destination" || stop 'it cannot be moved' ;;
esac
`

/** The value of restore_command. The path is quoted for the shell, and its percent signs for PostgreSQL. */
export function restoreCommand(scriptPath: string): string {
  const quoted = `'${scriptPath.replaceAll("'", String.raw`'\''`)}'`
  return `/bin/sh ${quoted.replaceAll('%', '%%')} "%f" "%p"`
}
