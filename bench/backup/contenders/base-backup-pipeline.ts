import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from '../../measure/measure.ts'
import type { Contender } from '../contender.ts'
import type { SourceServer } from '../source-server.ts'
import { decryptWithGpg, encryptWithGpg, endAgent, syncFiles } from './gpg.ts'

export interface PipelineOptions {
  readonly directory: string
  readonly level: number
  readonly processes: number
  readonly source: SourceServer
}

/** `pg_basebackup | zstd | gpg`: what people write themselves. It has no incremental backups. */
export async function openBaseBackupPipeline({
  directory,
  level,
  processes,
  source,
}: PipelineOptions): Promise<Contender> {
  const backups = join(directory, 'backups')
  await mkdir(backups, { recursive: true, mode: 0o700 })
  const file = join(backups, 'base.tar.zst.gpg')
  const take = `pg_basebackup --format=tar --pgdata=- --wal-method=fetch --checkpoint=fast --no-password`
  return {
    name: 'pg_basebackup',
    setting: 'equal',
    about: `| zstd -${level} -T${processes} | gpg (AES-256)`,
    archive: async () => ({ [Symbol.asyncDispose]: async () => undefined }),
    full: pipeline(
      `${take} | zstd -q -${level} -T${processes} | ${await encryptWithGpg(directory)} > ${file}; sync ${file}; ${endAgent(directory)}`,
      source.environment,
    ),
    restore: (target) =>
      pipeline(
        `${decryptWithGpg(directory, file)} | zstd -q -d | tar -x -C ${target}; ${syncFiles(target)}; ${endAgent(directory)}`,
        source.environment,
      ),
    backupDirectory: backups,
    overwrites: true,
  }
}
