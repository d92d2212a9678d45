import { access, constants, mkdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { runProgram } from '../../src/std/run-program.ts'
import type { Contender } from './contender.ts'
import { openBarman } from './contenders/barman.ts'
import { openBaseBackupPipeline } from './contenders/base-backup-pipeline.ts'
import { openDumpPipeline } from './contenders/dump-pipeline.ts'
import { openHoldfast } from './contenders/holdfast.ts'
import { openPgBackRest } from './contenders/pgbackrest.ts'
import type { SourceServer } from './source-server.ts'

export interface ContenderOptions {
  readonly source: SourceServer
  /** Holdfast's `main.js`. */
  readonly program: string
  /** Every contender gets a directory of its own in it. */
  readonly directory: string
  /** The zstd level at which they are compared. */
  readonly level: number
  readonly processes: number
  /** Only these peers; undefined: all that are installed. */
  readonly peers: readonly string[] | undefined
  readonly signal: AbortSignal
}

export interface FoundContenders {
  readonly contenders: readonly Contender[]
  readonly versions: Readonly<Record<string, string>>
  /** Peers that could not be measured, and why. */
  readonly missing: readonly { readonly peer: string; readonly because: string }[]
}

interface Peer {
  readonly name: string
  readonly programs: readonly string[]
  open(own: (name: string) => Promise<string>, programs: readonly string[], version: string): Promise<Contender[]>
}

/** Holdfast and every peer that this machine has, made ready to take backups of the source. */
export async function findContenders(options: ContenderOptions): Promise<FoundContenders> {
  const { directory, program, source, level, signal } = options
  const own = async (name: string): Promise<string> => {
    await mkdir(join(directory, name), { mode: 0o700 })
    return join(directory, name)
  }
  const contenders: Contender[] = []
  const versions: Record<string, string> = {}
  const missing: { peer: string; because: string }[] = []
  for (const [setting, chosen] of [
    ['equal', level],
    ['defaults', undefined],
  ] as const) {
    const home = await own(`holdfast-${setting}`)
    contenders.push(await openHoldfast({ program, directory: home, setting, level: chosen, source, signal }))
  }
  for (const peer of peers(options)) {
    if (options.peers !== undefined && !options.peers.includes(peer.name)) continue
    const programs = await Promise.all(peer.programs.map((name) => findProgram(name, source)))
    const absent = peer.programs.filter((_, index) => programs[index] === undefined)
    if (absent.length > 0) {
      missing.push({ peer: peer.name, because: `not installed: ${absent.join(', ')}` })
      continue
    }
    const paths = programs.flatMap((path) => path ?? [])
    try {
      versions[peer.name] = await versionOf(paths[0] ?? '', source)
      contenders.push(...(await peer.open(own, paths, versions[peer.name] ?? '')))
    } catch (error) {
      signal.throwIfAborted()
      missing.push({ peer: peer.name, because: error instanceof Error ? error.message : String(error) })
    }
  }
  return { contenders, versions, missing }
}

function peers({ source, level, processes }: ContenderOptions): Peer[] {
  const common = { source, processes }
  return [
    {
      name: 'pgbackrest',
      programs: ['pgbackrest'],
      open: async (own, [program = ''], version) => [
        await openPgBackRest({ ...common, program, version, directory: await own('r-equal'), setting: 'equal', level }),
        await openPgBackRest({
          ...common,
          program,
          version,
          directory: await own('r-defaults'),
          setting: 'defaults',
          level: undefined,
        }),
      ],
    },
    {
      name: 'pg_basebackup',
      programs: ['pg_basebackup', 'zstd', 'gpg'],
      open: async (own) => [await openBaseBackupPipeline({ ...common, level, directory: await own('base') })],
    },
    {
      name: 'pg_dump',
      programs: ['pg_dump', 'gpg'],
      open: async (own) => [await openDumpPipeline({ source, directory: await own('dump') })],
    },
    {
      name: 'barman',
      programs: ['barman', 'pg_basebackup'],
      open: async (own, [program = '']) => [
        await openBarman({ ...common, program, level, directory: await own('barman') }),
      ],
    },
  ]
}

async function findProgram(name: string, { environment }: SourceServer): Promise<string | undefined> {
  const path = `${process.env['PATH'] ?? ''}${delimiter}${environment['PATH'] ?? ''}`
  for (const directory of path.split(delimiter)) {
    const file = join(directory, name)
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (directory.startsWith('/') && found) return file
  }
  return undefined
}

async function versionOf(program: string, { environment }: SourceServer): Promise<string> {
  const { stdout } = await runProgram(program, program.endsWith('pgbackrest') ? ['version'] : ['--version'], {
    environment,
    deadlineMs: 30_000,
  })
  return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? stdout.trim()
}
