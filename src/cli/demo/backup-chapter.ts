import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitUntil } from '../../std/wait-until.ts'
import { parseLsn } from '../../wal/core/lsn.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { onNode, patienceMs, primaryNode, type ClusterAccess, type DemoContext } from './demo-context.ts'
import { formatMs } from './report.ts'

/** What the demo reads of the documents that the shipped commands print with `--json`. */
interface BackupDocument {
  readonly backup: { readonly id: string; readonly dataBytes: number; readonly storedBytes: number }
}

interface BackupsDocument {
  readonly backups: readonly unknown[]
  readonly damaged: readonly unknown[]
  readonly window: { readonly toLsn: string | null } | null
}

const marker = 'SecretOfTheDemoThatMustNotBeReadable'

/** An encrypted backup of the running primary, and the WAL behind it, seconds old. */
export async function backupChapter(context: DemoContext): Promise<void> {
  const { list, cluster, clock, command } = context
  list.chapter('3 Encrypted backup and streamed WAL')
  const primary = await primaryNode(context)
  await onNode(primary, async (sql) => {
    await sql.query('create table holdfast_demo_marker (secret text)')
    await sql.query(`insert into holdfast_demo_marker select '${marker}' from generate_series(1, 1000)`)
  })
  await list.required('a backup of the running primary, while clients write', async () => {
    const startedAt = clock.monotonic()
    const { backup } = (await command(primary, 'backup', '--from', 'primary', '--label', 'demo')) as BackupDocument
    const size = `${describeBytes(backup.dataBytes)} in ${describeBytes(backup.storedBytes)}`
    return { figure: `${backup.id}: ${size}, ${formatMs(clock.monotonic() - startedAt)}` }
  })
  await list.check('every object of it is there, unaltered, and opens', async () => {
    const [listing] = (await command(primary, 'backups', '--verify')) as BackupsDocument[]
    if (listing?.backups.length !== 1 || listing.damaged.length > 0) throw new Error(JSON.stringify(listing?.damaged))
    return { figure: '1 backup, 0 damaged objects' }
  })
  await list.check('nothing in the repository can be read without the key', async () => {
    const plain = await objectsContaining(cluster.repositoryPath, marker)
    if (plain.found.length > 0) throw new Error(`the marker stands in ${plain.found.join(', ')}`)
    return { figure: `a marker that is in the data 1000 times is in 0 of ${plain.looked} objects` }
  })
  await list.check('WAL is in the repository seconds after it was written', async () => {
    const { at, lsn } = await writeAndLocate(context)
    await repositoryHolds(context, lsn)
    return { figure: `${formatMs(clock.monotonic() - at)} from commit to repository` }
  })
}

/** Commits something at the primary and gives the WAL position behind it. */
async function writeAndLocate(context: DemoContext): Promise<{ readonly at: number; readonly lsn: bigint }> {
  const primary = await primaryNode(context)
  const lsn = await onNode(primary, async (sql) => {
    await sql.query(`insert into holdfast_demo_marker values ('${marker}')`)
    const [row] = await sql.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')
    return parseLsn(row?.lsn ?? '')
  })
  if (lsn === undefined) throw new Error('the primary told no WAL position')
  return { at: context.clock.monotonic(), lsn }
}

/** Waits until a restore from the repository would reach this WAL position. */
export async function repositoryHolds(
  context: ClusterAccess & Pick<DemoContext, 'command'>,
  lsn: bigint,
): Promise<void> {
  const { clock, signal, command, cluster } = context
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('no nodes')
  await waitUntil(
    `the WAL up to ${lsn} in the repository`,
    async () => {
      const [listing] = (await command(node, 'backups')) as BackupsDocument[]
      const reached = parseLsn(listing?.window?.toLsn ?? '')
      return reached !== undefined && reached >= lsn ? true : undefined
    },
    { clock, signal, timeoutMs: patienceMs, everyMs: 100 },
  )
}

async function objectsContaining(directory: string, text: string): Promise<{ found: string[]; looked: number }> {
  const found: string[] = []
  let looked = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    looked += 1
    const path = join(entry.parentPath, entry.name)
    if ((await readFile(path)).includes(text)) found.push(path)
  }
  return { found, looked }
}
