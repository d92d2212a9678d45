import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { systemClock } from '../../std/clock.ts'
import type { FencerTiming } from './core/stages.ts'
import { startFencerServer } from './fencer-server.ts'

/**
 * The fencer: `main.ts <socket path> <timing as JSON>`, started by `ensureFencer`. It loads what it needs before it
 * listens and neither reads nor writes a file after that, but for the server's log, which it opens at a start, and /proc.
 */
const idleExitMs = 60_000
const signalledStop = { mode: 'fast', thenKillAfterMs: 60_000 } as const

const [socketPath, timing] = process.argv.slice(2)
if (socketPath === undefined || timing === undefined) throw new Error('usage: main.ts <socket path> <timing>')

process.chdir('/')
process.on('SIGHUP', () => {})
const server = await startFencerServer({
  socketPath,
  clock: systemClock,
  timing: JSON.parse(timing) as FencerTiming,
  wrapper: dieWithParent(),
  idleExitMs,
  onEnd: () => process.exit(0),
})
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.shutdown(signalledStop))
// Whatever goes wrong in here: a server without its guard must not go on. Killed first, since telling may block.
process.on('uncaughtException', (error) => {
  server.killNow()
  process.stderr.write(`${new Date().toISOString()} fencer ended: ${error.stack ?? error.message}\n`)
  process.exit(70)
})

/**
 * The command that has the kernel send SIGQUIT to PostgreSQL when this process dies: the postmaster then ends every
 * backend within milliseconds. Its own death by SIGKILL would not do: a backend that always finds its next query waiting
 * in the socket never looks whether it still has a postmaster, and goes on writing. Not every `setpriv` can do it.
 */
function dieWithParent(): string[] {
  const program = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/local/bin/setpriv'].find((path) => existsSync(path))
  if (program === undefined) return []
  const wrapper = [program, '--pdeathsig', 'QUIT', '--']
  const attempt = spawnSync(program, [...wrapper.slice(1), program, '--version'], { stdio: 'ignore', timeout: 5000 })
  return attempt.status === 0 ? wrapper : []
}
