import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Fault } from '../std/fault.ts'
import { withSharedKeys } from './copy-settings.ts'
import { configFaults } from './faults.ts'
import { describeIssues, parseYaml } from './problem.ts'
import type { ConfigProblem } from './problem.ts'
import { configSchema } from './schema.ts'
import type { Config } from './schema.ts'

const systemPath = '/etc/holdfast/holdfast.yaml'

export interface LoadedConfig {
  /** Absolute path of the file it came from. */
  readonly file: string
  readonly config: Config
}

/** Either a configuration or everything that is wrong with the text, never a half. */
export type ParsedConfig =
  | { readonly config: Config; readonly problems?: undefined }
  | { readonly config?: undefined; readonly problems: readonly ConfigProblem[] }

/**
 * Reads and checks the configuration: the file named on the command line, else `$HOLDFAST_CONFIG`, else the first that
 * exists of `./holdfast.yaml` and `/etc/holdfast/holdfast.yaml`. Throws `config-missing` or `config-invalid`, the
 * latter with every problem of the file at once.
 */
export async function loadConfig(options: {
  readonly named: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly directory: string
}): Promise<LoadedConfig> {
  const named = options.named ?? (options.environment['HOLDFAST_CONFIG'] || undefined)
  const candidates = (named === undefined ? ['holdfast.yaml', systemPath] : [named]).map((path) =>
    resolve(options.directory, path),
  )
  for (const file of candidates) {
    const text = await readIfExists(file)
    if (text !== undefined) return { file, config: configFrom(file, text) }
  }
  throw new Fault(
    configFaults['config-missing'],
    `Cannot find a configuration: ${candidates.join(' and ')} do not exist`,
  )
}

async function readIfExists(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new Fault(configFaults['config-missing'], `Cannot read the configuration ${file}: ${reason}`, {
      cause: error,
    })
  }
}

function configFrom(file: string, text: string): Config {
  const { config, problems } = parseConfig(text)
  if (config !== undefined) return config
  const lines = problems.map(describeProblem)
  const count = lines.length === 1 ? '1 problem' : `${lines.length} problems`
  const message = `Cannot use the configuration ${file}: ${count}\n${lines.map((line) => `  ${line}`).join('\n')}`
  throw new Fault(configFaults['config-invalid'], message, { details: { file, problems: lines } })
}

export function describeProblem(problem: ConfigProblem): string {
  const subject = problem.path === '' ? '' : `${problem.path}: `
  return `line ${problem.line}: ${subject}${problem.message}`
}

export function parseConfig(text: string): ParsedConfig {
  const yaml = parseYaml(text)
  if (yaml.problems.length > 0) return { problems: yaml.problems }
  const result = configSchema.safeParse(yaml.value ?? {})
  if (result.success) {
    const repositories = withCopyDefaults(withSharedKeys(result.data.repositories))
    return { config: { ...result.data, repositories } }
  }
  return { problems: describeIssues(configSchema, result.error.issues, yaml) }
}

/** Into a copy only objects are written that exist elsewhere, or that no other writer names: it may be a lesser store. */
function withCopyDefaults(repositories: Config['repositories']): Config['repositories'] {
  return repositories.map((repository, index) =>
    index === 0 || repository.type === 'filesystem'
      ? repository
      : { ...repository, conditionalCreate: repository.conditionalCreate ?? 'emulated' },
  )
}
