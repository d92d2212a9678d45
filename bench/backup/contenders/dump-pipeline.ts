import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from '../../measure/measure.ts'
import type { Contender } from '../contender.ts'
import type { SourceServer } from '../source-server.ts'
import { decryptWithGpg, encryptWithGpg, endAgent } from './gpg.ts'

/** `pg_dump -Fc | gpg`, which compresses with gzip, as the old scripts do. Restored into a new database. */
export async function openDumpPipeline(options: {
  readonly directory: string
  readonly source: SourceServer
}): Promise<Contender> {
  const { directory, source } = options
  const backups = join(directory, 'backups')
  await mkdir(backups, { recursive: true, mode: 0o700 })
  const file = join(backups, 'database.dump.gpg')
  return {
    name: 'pg_dump',
    setting: 'equal',
    about: '-Fc (gzip) | gpg (AES-256)',
    archive: async () => ({ [Symbol.asyncDispose]: async () => undefined }),
    full: pipeline(
      `pg_dump --format=custom --no-password | ${await encryptWithGpg(directory)} > ${file}; sync ${file}; ${endAgent(directory)}`,
      source.environment,
    ),
    restore: () =>
      pipeline(
        `dropdb --if-exists restored; createdb restored; ${decryptWithGpg(directory, file)} | pg_restore --dbname=restored; psql -qc CHECKPOINT; dropdb restored; ${endAgent(directory)}`,
        source.environment,
      ),
    backupDirectory: backups,
    overwrites: true,
  }
}
