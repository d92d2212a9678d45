import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { RepositoryConfig } from '../../config/schema.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import { storeFaults } from '../../store/faults.ts'
import type { AdapterProbe, Finding } from '../../store/probe/finding.ts'
import { probeStore } from '../../store/probe/probe-store.ts'
import { isFault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'
import { chooseRepository, openConfiguredStore } from '../open-configured.ts'
import type { Style } from '../terminal/output.ts'
import { formatTable } from '../terminal/table.ts'
import { parseStoreAddress } from './store-address.ts'

/** `degraded`: it will do as a copy. `refused`: nothing may be kept there. */
type Verdict = 'ok' | 'degraded' | 'refused'

const marks: Readonly<Record<Finding['outcome'], readonly [string, Style]>> = {
  good: ['✓', 'green'],
  weak: ['!', 'yellow'],
  bad: ['✗', 'red'],
  fact: ['·', 'dim'],
  unknown: ['?', 'yellow'],
}

const verdicts: Readonly<Record<Verdict, string>> = {
  ok: 'it can hold the first repository',
  degraded: 'it can hold a copy; see the lines with a !',
  refused: 'it cannot be used safely',
}

/** Tries a store out with objects of its own, tells what was found, and removes them again. */
export async function runStoreProbe(
  context: CommandContext,
  options: { readonly repository: string | undefined; readonly store: string | undefined },
): Promise<Verdict> {
  const { output, clock, signal } = context
  const repository = await probed(context, options)
  const prefix = `holdfast-probe-${randomBytes(6).toString('hex')}`
  const adapter = await probeAdapter(repository, prefix, context)
  const findings = [...adapter.findings]
  let left: readonly string[] = []
  let description = ''
  try {
    await using opened = await openForProbe(repository, prefix, context)
    description = opened.store.description
    const onProgress = (what: string): void => output.progress(`trying ${what}`)
    findings.push(...(await probeStore(opened.store, { clock, signal, prefix, decides: opened.decides, onProgress })))
  } finally {
    output.progress('')
    left = await adapter.cleanUp()
  }
  const verdict = judge(findings)
  if (context.json) {
    output.printJson({ store: description, verdict, findings, left })
    return verdict
  }
  const rows = findings.map(({ check, outcome, told }) => [
    output.style(marks[outcome][1], marks[outcome][0]),
    check,
    told,
  ])
  output.print(`${description}\n${formatTable(['', 'check', 'found'], rows)}\n\n${verdicts[verdict]}`)
  if (left.length > 0) output.print(`could not be removed: ${left.join(', ')}`)
  return verdict
}

async function probed(
  context: CommandContext,
  options: { readonly repository: string | undefined; readonly store: string | undefined },
): Promise<RepositoryConfig> {
  if (options.store === undefined) {
    return chooseRepository((await loadContextConfig(context)).config, options.repository)
  }
  // No key is needed: nothing in it is opened.
  return parseStoreAddress(options.store, {}, context.workingDirectory)
}

interface OpenedForProbe extends AsyncDisposable {
  readonly store: ObjectStore
  readonly decides: boolean
}

/**
 * Strictly where the server can, else as a copy would be opened, so that the other checks still say something. Without its
 * lock: what a probe makes must not stay for days.
 */
async function openForProbe(
  repository: RepositoryConfig,
  prefix: string,
  { clock, signal }: CommandContext,
): Promise<OpenedForProbe> {
  const open = async (conditionalCreate: 'required' | 'emulated'): Promise<ObjectStore> => {
    if (repository.type === 'filesystem') return await openConfiguredStore(repository, { clock, signal })
    const unlocked = repository.type === 's3' ? { ...repository, lock: undefined } : repository
    return await openConfiguredStore({ ...unlocked, conditionalCreate }, { clock, signal })
  }
  const strict = await open('required')
  try {
    await strict.create(`${prefix}/condition`, new Uint8Array(0), { signal })
    return { store: strict, decides: true, [Symbol.asyncDispose]: () => strict[Symbol.asyncDispose]() }
  } catch (error) {
    await strict[Symbol.asyncDispose]()
    if (!isFault(error, storeFaults['store-unconditional'])) throw error
  }
  const store = await open('emulated')
  return { store, decides: false, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

async function probeAdapter(
  repository: RepositoryConfig,
  prefix: string,
  { clock, signal }: CommandContext,
): Promise<AdapterProbe> {
  const options = { prefix, signal }
  switch (repository.type) {
    case 'filesystem':
      return {
        findings: [],
        cleanUp: async () => {
          await rm(join(repository.path, prefix), { recursive: true, force: true })
          // Where nothing else is, the store's own directory came with the probe.
          const others = (await readdir(repository.path).catch(() => [])).filter((name) => name !== '.tmp')
          if (others.length === 0) await rm(join(repository.path, '.tmp'), { recursive: true, force: true })
          return []
        },
      }
    case 's3': {
      const { probeS3 } = await import('../../store/s3/s3-probe.ts')
      const { s3StoreOptions } = await import('./open-s3.ts')
      return await probeS3(await s3StoreOptions(repository, { clock, signal }), options)
    }
    case 'webdav': {
      const { probeWebDav } = await import('../../store/webdav/webdav-probe.ts')
      const { webDavStoreOptions } = await import('./open-webdav.ts')
      return await probeWebDav(await webDavStoreOptions(repository, { clock, signal }), options)
    }
    default:
      return repository satisfies never
  }
}

function judge(findings: readonly Finding[]): Verdict {
  if (findings.some(({ outcome }) => outcome === 'bad')) return 'refused'
  return findings.some(({ outcome }) => outcome === 'weak') ? 'degraded' : 'ok'
}
