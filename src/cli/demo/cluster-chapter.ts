import { readFile, readlink } from 'node:fs/promises'
import { waitUntil } from '../../std/wait-until.ts'
import { onNode, patienceMs, primaryNode, waitRedundant, type DemoContext } from './demo-context.ts'
import { postmasterPid } from './node-processes.ts'

/** Three nodes from nothing: created, cloned, streaming, durable. */
export async function clusterChapter(context: DemoContext): Promise<void> {
  const { list, cluster, clock, signal } = context
  list.chapter('1 A cluster from nothing')
  await list.required('three agents start, one founds the cluster, two clone from it', async () => {
    await Promise.all(cluster.nodes.map((node) => cluster.startAgent(node)))
    const primary = await primaryNode(context)
    return { figure: `${primary.name} is the primary` }
  })
  await list.required('two standbys stream on their own slots', async () => {
    const { slots } = await waitRedundant(context)
    return { figure: slots.join(', ') }
  })
  await list.check('a commit waits for a standby (durability quorum)', async () => {
    const primary = await primaryNode(context)
    const names = await onNode(primary, (sql) =>
      sql.query<{ names: string }>("select current_setting('synchronous_standby_names') as names"),
    )
    const setting = names[0]?.names ?? ''
    if (!/^ANY 1 \(.+,.+\)$/.test(setting)) throw new Error(`synchronous_standby_names is "${setting}"`)
    return { figure: setting }
  })
  await list.check('data pages have checksums on every node', async () => {
    for (const node of cluster.nodes) {
      const rows = await onNode(node, (sql) => sql.query("select current_setting('data_checksums') as value"))
      if (rows[0]?.['value'] !== 'on') throw new Error(`${node.name} has data_checksums ${String(rows[0]?.['value'])}`)
    }
    return { figure: `${cluster.nodes.length} of ${cluster.nodes.length}` }
  })
  await list.check('on each node the fencer, not the agent, is the parent of PostgreSQL', async () => {
    const parents = await Promise.all(cluster.nodes.map((node) => fencerOf(node.dataDirectory)))
    if (new Set(parents).size !== cluster.nodes.length) throw new Error(`parents are ${parents.join(', ')}`)
    return { figure: `${parents.length} fencers: ${parents.join(', ')}` }
  })
  await list.check('exactly one node answers 200 on /primary, the others on /replica', async () => {
    const answer = async (port: number, path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}${path}`, { signal })).status
    return await waitUntil(
      'the health endpoints agree',
      async () => {
        const codes = await Promise.all(
          cluster.nodes.map(async ({ apiPort }) => [
            await answer(apiPort, '/primary'),
            await answer(apiPort, '/replica'),
          ]),
        )
        const text = codes.map((pair) => pair.join('/')).join(' ')
        const right = codes.filter((pair) => pair.join() === '200,503').length === 1
        return right && codes.filter((pair) => pair.join() === '503,200').length === 2 ? { figure: text } : undefined
      },
      { clock, signal, timeoutMs: patienceMs },
    )
  })
}

/** Process id of the fencer, which must be the parent of the postmaster. */
async function fencerOf(dataDirectory: string): Promise<number> {
  const pid = await postmasterPid(dataDirectory)
  const status = await readFile(`/proc/${pid}/stat`, 'utf8')
  const parent = Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
  const command = await readFile(`/proc/${parent}/cmdline`, 'utf8')
  if (!command.includes('fencer')) throw new Error(`the parent of ${await readlink(`/proc/${pid}/exe`)} is ${command}`)
  return parent
}
