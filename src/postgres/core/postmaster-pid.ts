/** What a postmaster says about itself in `postmaster.pid`. Source: pidfile.h and miscinit.c. */
export interface PostmasterPid {
  readonly pid: number
  readonly dataDirectory: string
  readonly startedAtSeconds: number
  readonly port: number | undefined
  readonly socketDirectory: string | undefined
  readonly listenAddress: string | undefined
  /** `ready`: accepts connections. `standby`: recovers and does not accept any. Undefined while it is not written yet. */
  readonly status: 'starting' | 'stopping' | 'ready' | 'standby' | undefined
}

const states = ['starting', 'stopping', 'ready', 'standby'] as const

/** Reads the file's text; undefined when it is empty or half written. A single-user backend writes a negative pid. */
export function parsePostmasterPid(text: string): PostmasterPid | undefined {
  const lines = text.split('\n')
  const pid = Math.abs(Number(lines[0]))
  const startedAtSeconds = Number(lines[2] || Number.NaN)
  if (!Number.isInteger(pid) || pid === 0 || lines[1] === undefined || !Number.isInteger(startedAtSeconds)) {
    return undefined
  }
  const status = lines[7]?.trim()
  return {
    pid,
    dataDirectory: lines[1],
    startedAtSeconds,
    port: lines[3] ? Number(lines[3]) : undefined,
    socketDirectory: lines[4] || undefined,
    listenAddress: lines[5] || undefined,
    status: states.find((state) => state === status),
  }
}
