import type { Config, RepositoryConfig } from '../../config/schema.ts'
import { readPublicKeyFile, readSecretFile } from '../../config/secret-file.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { readKeyObjects } from '../../repository/key-objects.ts'
import type { KeyObject } from '../../repository/key-objects.ts'
import { recipientKeyIds } from '../../repository/openpgp-keys.ts'
import type { KeyAccess } from '../../repository/openpgp-keys.ts'
import { recordKeyTest } from '../../repository/proofs.ts'
import { identifyRepository } from '../../repository/repository.ts'
import { testAccess } from '../../repository/test-access.ts'
import { Fault } from '../../std/fault.ts'
import type { ExitClass } from '../../std/fault.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredStore } from '../open-configured.ts'

/** One secret on one repository. */
interface SecretTest {
  readonly setting: string
  readonly file: string
  readonly text: string
  readonly fault: Fault | null
}

interface RepositoryTest {
  readonly repository: string
  readonly tests: readonly SecretTest[]
  /** The record of it in the repository; null when there is none, with the reason. */
  readonly proof: string | null
  readonly notRecorded: string | null
}

/** Worst first: what a run with several faults ends with. */
const severity: readonly Exclude<ExitClass, 'ok'>[] = [
  'integrity',
  'refused',
  'unreachable',
  'notFound',
  'usage',
  'failed',
]

/** Tries every configured secret on every repository, as a restore would have to, and records what was seen. */
export async function runKeysTest(
  config: Config,
  context: CommandContext,
  options: { readonly repository: string | undefined },
): Promise<ExitClass> {
  const { output } = context
  const chosen =
    options.repository === undefined && config.repositories.length > 0
      ? config.repositories
      : [chooseRepository(config, options.repository)]
  const results: RepositoryTest[] = []
  for (const repository of chosen) results.push(await testRepository(config, repository, context))
  if (context.json) output.printJson(results.map(testDocument))
  else output.print(results.map(renderTest).join('\n\n'))
  const classes = results.flatMap(({ tests }) => tests.flatMap(({ fault }) => fault?.kind.exitClass ?? []))
  const worst = severity.find((exitClass) => classes.includes(exitClass)) ?? classes[0]
  if (worst !== undefined) return worst
  return results.some(({ notRecorded }) => notRecorded !== null) ? 'degraded' : 'ok'
}

async function testRepository(
  config: Config,
  repository: RepositoryConfig,
  context: CommandContext,
): Promise<RepositoryTest> {
  const { clock, signal, output } = context
  const { name } = repository
  output.progress(`trying the keys of repository ${name}`)
  await using stack = new AsyncDisposableStack()
  const secrets = secretsOf(config, repository)
  const store = await openConfiguredStore(repository, { clock, copy: repository !== config.repositories[0] }).then(
    (opened) => stack.use(opened),
    (error: unknown) => faultOr(error, signal),
  )
  if (store instanceof Fault) {
    const tests = secrets.map((secret) => ({ ...secret, text: store.message, fault: store }))
    return { repository: name, tests, proof: null, notRecorded: store.message }
  }
  const tests: SecretTest[] = []
  for (const secret of secrets) tests.push(await testSecret(store, config.cluster, secret, signal))
  for (const file of recipientFilesOf(config, repository)) tests.push(await testRecipient(store, file, signal))
  output.progress('')
  const passed = tests.every(({ fault }) => fault === null)
  try {
    const { id } = await identifyRepository(store, { signal })
    const proof = await recordKeyTest(
      { id, store },
      {
        repositoryId: id,
        cluster: config.cluster,
        place: name,
        store: store.description,
        testedAt: clock.wall(),
        node: config.node.name,
        version: context.version,
        passed,
        secrets: tests.map(({ setting, text, fault }) => ({ setting, passed: fault === null, text })),
      },
      { signal },
    )
    return { repository: name, tests, proof, notRecorded: null }
  } catch (error) {
    return { repository: name, tests, proof: null, notRecorded: faultOr(error, signal).message }
  }
}

interface ConfiguredSecret {
  readonly setting: 'passphraseFile' | 'privateKeyFile'
  readonly file: string
}

/** Each secret alone: that one of two opens the repository says nothing about the other. */
function secretsOf(config: Config, repository: RepositoryConfig): readonly ConfiguredSecret[] {
  const listed = ({ passphraseFile, privateKeyFile }: RepositoryConfig): ConfiguredSecret[] => [
    ...(passphraseFile === undefined ? [] : [{ setting: 'passphraseFile' as const, file: passphraseFile }]),
    ...(privateKeyFile === undefined ? [] : [{ setting: 'privateKeyFile' as const, file: privateKeyFile }]),
  ]
  const own = listed(repository)
  // A copy is opened with the secrets of what it copies where it names none.
  return own.length > 0 ? own : config.repositories.slice(0, 1).flatMap(listed)
}

function recipientFilesOf(config: Config, repository: RepositoryConfig): readonly string[] {
  if (repository.recipientFiles.length > 0) return repository.recipientFiles
  return secretsOf(config, repository).length > 0 ? (config.repositories[0]?.recipientFiles ?? []) : []
}

async function testSecret(
  store: ObjectStore,
  cluster: string,
  { setting, file }: ConfiguredSecret,
  signal: AbortSignal,
): Promise<SecretTest> {
  try {
    const secret = await readSecretFile(setting, file)
    const access: KeyAccess =
      setting === 'passphraseFile' ? { passphrase: secret } : { privateKey: { armored: secret } }
    const { dataKeys, decrypted } = await testAccess(store, { cluster, access }, { signal })
    const keys = dataKeys.length === 1 ? 'the data key' : `all ${dataKeys.length} data keys`
    const proof = decrypted === null ? '; no backup is there to be tried' : `, and with them ${decrypted}`
    return { setting, file, text: `opens ${keys}${proof}`, fault: null }
  } catch (error) {
    const fault = faultOr(error, signal)
    return { setting, file, text: fault.message, fault }
  }
}

/** Of a recipient only the public half is here: what can be seen is that the data keys are wrapped for it. */
async function testRecipient(store: ObjectStore, file: string, signal: AbortSignal): Promise<SecretTest> {
  const setting = 'recipientFiles'
  try {
    const ids = await recipientKeyIds(await readPublicKeyFile(file))
    const { id } = await identifyRepository(store, { signal })
    const objects = await readKeyObjects(store, id, { signal })
    const dataKeys = new Set(objects.flatMap(({ dataKey }) => dataKey ?? []))
    const covered = new Set(objects.filter((object) => isFor(object, ids)).flatMap(({ dataKey }) => dataKey ?? []))
    const lacking = [...dataKeys].filter((key) => !covered.has(key))
    const text =
      lacking.length === 0
        ? 'every data key is wrapped for it; the private key is not here to be tried'
        : `the repository has no key object for it and the data key ${lacking.join(', ')}; add it with holdfast keys add --recipient ${file}`
    return { setting, file, text, fault: lacking.length === 0 ? null : recipientMissing(file, text) }
  } catch (error) {
    const fault = faultOr(error, signal)
    return { setting, file, text: fault.message, fault }
  }
}

function isFor({ state }: KeyObject, ids: readonly string[]): boolean {
  return state.kind !== 'damaged' && state.protection.recipients.some((id) => ids.includes(id))
}

function recipientMissing(file: string, text: string): Fault {
  return new Fault(repositoryFaults['repository-recipient-missing'], `Cannot count on the recipient ${file}: ${text}`, {
    details: { file },
  })
}

function faultOr(error: unknown, signal: AbortSignal): Fault {
  signal.throwIfAborted()
  if (error instanceof Fault) return error
  throw error
}

function testDocument({ repository, tests, proof, notRecorded }: RepositoryTest): object {
  return {
    repository,
    passed: tests.every(({ fault }) => fault === null),
    secrets: tests.map(({ setting, file, text, fault }) => {
      return { setting, file, passed: fault === null, text, error: fault?.toJSON() ?? null }
    }),
    proof,
    notRecorded,
  }
}

function renderTest({ repository, tests, proof, notRecorded }: RepositoryTest): string {
  const good = tests.every(({ fault }) => fault === null)
  const lines = [
    `repository ${repository}: ${good ? 'every configured key opens it' : 'NOT every configured key is good'}`,
  ]
  for (const { setting, file, text, fault } of tests) {
    lines.push(`${fault === null ? ' ' : '!'} ${setting} ${file}: ${text}`)
    if (fault !== null) lines.push(`    hint: ${fault.hint}`)
  }
  lines.push(proof === null ? `! this is not recorded: ${notRecorded}` : `  recorded as ${proof}`)
  return lines.join('\n')
}
