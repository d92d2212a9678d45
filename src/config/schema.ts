import { z } from 'zod'
import { isClusterName } from '../repository/core/object-names.ts'
import { backupSection } from './backup-section.ts'
import { apiSection, coordinatorSection, durabilitySection, leaseSection } from './cluster-sections.ts'
import { contains, nodeSection } from './node-section.ts'
import { postgresSection } from './postgres-section.ts'
import { retentionSection } from './retention-section.ts'
import { choice, setting, text } from './setting.ts'
import { repositoriesSection, walSection } from './storage-sections.ts'
import { schedulesSection } from './schedules-section.ts'
import { verificationSection } from './verification-section.ts'

/**
 * `holdfast.yaml`. From this one schema come the parser and its errors, `holdfast config …`, the JSON Schema and
 * `docs/reference/configuration.md`.
 */
export const configSchema = z
  .strictObject({
    cluster: setting(
      text(
        /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/,
        'lower-case letters, digits and hyphens, at most 40, a letter first',
      ).refine(isClusterName),
      { about: 'The name of the cluster, the same on every node.', change: 'fixed', example: 'main' },
    ),
    node: nodeSection,
    postgres: postgresSection,
    api: apiSection,
    coordinator: coordinatorSection,
    durability: durabilitySection,
    lease: leaseSection,
    repositories: repositoriesSection,
    wal: walSection,
    backup: backupSection,
    retention: retentionSection,
    verification: verificationSection,
    schedules: schedulesSection,
    log: z
      .strictObject({
        level: setting(choice(['error', 'warn', 'info', 'debug']).prefault('info'), {
          about: 'The least important kind of message the agent logs.',
          change: 'restart',
        }),
      })
      .prefault({}),
  })
  .superRefine((config, context) => {
    if (config.api.port === config.postgres.port) {
      context.addIssue({ code: 'custom', path: ['api', 'port'], message: 'a port other than postgres.port' })
    }
    config.repositories.forEach((repository, index) => {
      if (repository.type !== 'filesystem' || !contains(config.node.dataDirectory, repository.path)) return
      context.addIssue({
        code: 'custom',
        path: ['repositories', index, 'path'],
        message: 'a directory outside node.dataDirectory, which a restore replaces',
      })
    })
  })

/** A checked configuration: every default filled in, durations as `{ ms }`. */
export type Config = z.output<typeof configSchema>

export type RepositoryConfig = Config['repositories'][number]
