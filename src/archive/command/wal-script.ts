/**
 * What PostgreSQL runs for each file as `archive_command` (`push PATH`) and `restore_command` (`fetch NAME PATH`): plain
 * shell, so that no Node.js has to start for it. It leaves a request in a directory and waits for the answer of the
 * process that serves there. Where none serves, or it dies, `holdfast wal push` or `fetch` itself does the one file, which
 * takes longer, and starts the serving process for the next.
 *
 * Its exit status is PostgreSQL's contract. push: 0 says that the repository has the file durably, anything else that it
 * is to be tried again. fetch: 0 with the file in its place; 1 says that the repository provably does not have it, which
 * PostgreSQL takes for the end of the WAL; so everything else gives 200, which stops recovery (law L7), and on a standby,
 * which goes on asking, 1.
 */
export const walScriptName = 'holdfast-wal.sh'

export const walServiceFiles = {
  /** The serving process. */
  pid: 'pid',
  /** One file a request, removed with its answer. */
  requests: 'requests',
  /** Two lines: the exit status, and what to say. Whole when it is there; removed after a while. */
  answers: 'answers',
  /** Segments fetched before they are wanted. */
  ready: 'ready',
} as const

/** The last line of a request, so that one which is still being written is not taken for it. */
export const requestEnd = 'end'

/** Above 125, and none that a shell uses itself. */
export const stopRecoveryExit = 200

/** What `holdfast wal fetch` prints when it exits with 1: a program that could not start exits with 1 as well. */
export const absentWord = 'absent'

export interface WalScript {
  /** The directory that the script lies in and the service works in. */
  readonly directory: string
  /** Node.js, the program's own file, and the configuration. */
  readonly node: string
  readonly program: string
  readonly configFile: string
}

export function walScript({ directory, node, program, configFile }: WalScript): string {
  return `#!/bin/sh
# Written by Holdfast. archive_command: push PATH; restore_command: fetch NAME PATH.
set -u
directory=${quote(directory)}

if [ "$#" -eq 2 ] && [ "$1" = push ]; then
  name=\${2##*/} path=$2
elif [ "$#" -eq 3 ] && [ "$1" = fetch ]; then
  name=$2 path=$3
else
  echo 'usage: ${walScriptName} push PATH | fetch NAME PATH' >&2
  exit ${stopRecoveryExit}
fi
verb=$1
case $path in
  /*) ;;
  *) path=$PWD/$path ;;
esac

trouble() {
  echo "holdfast: cannot $verb $name: $1" >&2
  if [ "$verb" = push ] || [ -e standby.signal ]; then exit 1; fi
  exit ${stopRecoveryExit}
}

# Does this one file without the serving process.
alone() {
  set -- ${quote(node)} ${quote(program)} wal "$verb" --config ${quote(configFile)} --service
  if [ "$verb" = push ]; then exec "$@" -- "$path"; fi
  said=$("$@" -- "$name" "$path")
  status=$?
  # Only who says so has proven that the file is not there: a program that cannot start exits with 1, too.
  if [ "$status" -eq 0 ]; then exit 0; fi
  if [ "$status" -eq 1 ] && [ "$said" = ${absentWord} ]; then exit 1; fi
  trouble "holdfast wal fetch ended with $status"
}

pid=
if [ -r "$directory/${walServiceFiles.pid}" ]; then read -r pid <"$directory/${walServiceFiles.pid}"; fi
if [ -z "$pid" ] || ! kill -0 "$pid" 2>/dev/null; then alone; fi

request=$directory/${walServiceFiles.requests}/$name.$$
answer=$directory/${walServiceFiles.answers}/$name.$$
# Of a process that had this number before.
if [ -f "$answer" ]; then rm -f "$answer"; fi
if ! printf '%s\\n' "$verb" "$name" "$path" "$PWD" ${requestEnd} >"$request"; then
  rm -f "$request"
  alone
fi
polls=0
until [ -f "$answer" ]; do
  if ! kill -0 "$pid" 2>/dev/null && [ ! -f "$answer" ]; then
    rm -f "$request"
    alone
  fi
  # Two minutes: the service itself gives up earlier.
  if [ "$polls" -ge 12000 ]; then
    rm -f "$request"
    trouble 'the serving process does not answer'
  fi
  polls=$((polls + 1))
  sleep 0.01 2>/dev/null || { polls=$((polls + 100)) && sleep 1; }
done
{ read -r status && read -r said; } <"$answer"
case $status in
  0) exit 0 ;;
  1 | ${stopRecoveryExit}) ;;
  *) trouble 'the answer of the serving process cannot be read' ;;
esac
if [ -n "$said" ]; then echo "holdfast: $said" >&2; fi
exit "$status"
`
}

/**
 * The line for postgresql.conf; percent signs and quotes of a path are doubled as PostgreSQL wants it. The script is run
 * itself and not given to a shell: that exits with 2 when the script is gone, which PostgreSQL would take for the end of
 * the WAL, and with 127 when the program is.
 */
export function archiveCommand(script: string): string {
  return `${inCommand(script)} push "%p"`
}

export function restoreCommand(script: string): string {
  return `${inCommand(script)} fetch "%f" "%p"`
}

function inCommand(path: string): string {
  return quote(path).replaceAll('%', '%%')
}

function quote(text: string): string {
  return /^[\w/.+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
