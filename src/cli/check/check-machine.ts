import { access } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Config } from '../../config/schema.ts'
import { chooseInstallation, installationSearch } from '../../postgres/installation.ts'
import { runningPostmaster } from '../../postgres/postmaster.ts'
import type { Clock } from '../../std/clock.ts'
import { fail, look, pass, warn } from './check-item.ts'
import type { CheckItem, Observation } from './check-item.ts'

/** A clock that steps further than this while we look is not fit for measuring a lease against. */
const stepLimitMs = 50
const looksMs = 200

export interface MachineQuestion {
  readonly config: Config
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** The user, the binaries, the ports and the clocks of this machine. */
export function checkMachine(question: MachineQuestion): Promise<readonly CheckItem[]> {
  const { config, environment, clock, signal } = question
  const { postgres, api, node } = config
  return Promise.all([
    look('user', async () => observeUser()),
    look('postgresql', async () => {
      const search = installationSearch(environment, process.getuid?.() ?? 0)
      const found = await chooseInstallation(search, postgres)
      const text = `${found.version} (${found.source}) in ${found.binDirectory}`
      return found.tools.pgRewind === undefined
        ? warn(`${text}, without pg_rewind`, 'A diverged node is then cloned anew instead of rewound.')
        : pass(text)
    }),
    look(`postgres.port ${postgres.port}`, () =>
      observePort(postgres.port, postgres.listenAddresses, async () => {
        const running = await runningPostmaster(node.dataDirectory)
        return running === undefined ? undefined : `our own PostgreSQL, pid ${running.pid}`
      }),
    ),
    look(`api.port ${api.port}`, () =>
      observePort(api.port, [api.address], async () => await ownAgent(config, signal)),
    ),
    look('clocks', () => observeClocks(clock, signal)),
  ])
}

function observeUser(): Observation {
  return process.getuid?.() === 0
    ? fail('root, which PostgreSQL refuses', 'Run Holdfast as the user that owns the data directory.')
    : pass(`user id ${process.getuid?.() ?? '?'}`)
}

async function observePort(
  port: number,
  addresses: readonly string[],
  ours: () => Promise<string | undefined>,
): Promise<Observation> {
  for (const address of addresses) {
    const code = await tryListen(port, address)
    if (code === undefined) continue
    if (code !== 'EADDRINUSE') return fail(`cannot listen on ${address}: ${code}`, 'Use an address of this machine.')
    const owner = await ours()
    if (owner !== undefined) return pass(`in use by ${owner}`)
    return fail(`another program listens on ${address}:${port}`, `ss -ltnp 'sport = :${port}' names it.`)
  }
  return pass('free')
}

function tryListen(port: number, address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    const host = address === '*' ? {} : { host: address }
    server.listen({ port, exclusive: true, ...host }, () => server.close(() => resolve(undefined)))
  })
}

/** Whether the agent of this very node answers on the port. */
async function ownAgent(config: Config, signal: AbortSignal): Promise<string | undefined> {
  const host = ['0.0.0.0', '::', '*'].includes(config.api.address) ? '127.0.0.1' : config.api.address
  try {
    const response = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${config.api.port}/patroni`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(2000)]),
    })
    const body = (await response.json()) as { readonly patroni?: { readonly scope?: string; readonly name?: string } }
    const own = body.patroni?.scope === config.cluster && body.patroni.name === config.node.name
    return own ? 'our own agent' : undefined
  } catch {
    return undefined
  }
}

async function observeClocks(clock: Clock, signal: AbortSignal): Promise<Observation> {
  const before = { wall: clock.wall(), monotonic: clock.monotonic() }
  await clock.sleep(looksMs, { signal })
  const step = clock.wall() - before.wall - (clock.monotonic() - before.monotonic)
  if (Math.abs(step) > stepLimitMs) {
    return warn(
      `the wall clock stepped by ${Math.round(step)} ms`,
      'Let it be slewed, not stepped: chronyd or systemd-timesyncd.',
    )
  }
  const synchronized = await access('/run/systemd/timesync/synchronized').then(
    () => true,
    () => false,
  )
  const source = synchronized ? 'synchronized by systemd-timesyncd' : 'whether it is synchronized is not known'
  return pass(`the wall clock runs evenly; ${source}`)
}
