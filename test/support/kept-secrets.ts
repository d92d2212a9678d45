import assert from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { DemoCluster } from '../../src/cli/demo/demo-cluster.ts'
import { processesBelow } from '../../src/cli/demo/node-processes.ts'

/**
 * L10: no secret of the cluster stands in an argument or the environment of any of its processes, or in a file other than
 * those that are meant to hold it, which only their owner may read. Looks at everything below the cluster's directory:
 * configuration, logs, events, the ring of decisions, the repository, and the data directories with their WAL.
 */
export async function assertSecretsKept(cluster: DemoCluster): Promise<{ files: number; processes: number }> {
  const directory = join(cluster.directory, 'secrets')
  const secrets = await Promise.all(
    (await readdir(directory)).map(async (name) => ({
      name,
      text: (await readFile(join(directory, name), 'utf8')).trim(),
    })),
  )
  assert.ok(secrets.length >= 3)
  const pids = await processesBelow(cluster.directory)
  for (const pid of pids) {
    for (const place of ['cmdline', 'environ']) {
      const content = await readFile(`/proc/${pid}/${place}`, 'utf8').catch(() => '')
      for (const { name, text } of secrets)
        assert.ok(!content.includes(text), `${name} is in ${place} of process ${pid}`)
    }
  }
  let files = 0
  for (const entry of await readdir(cluster.directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    // Files of a running server come and go.
    const content = await readFile(path).catch(() => Buffer.alloc(0))
    files += 1
    for (const { name, text } of secrets) {
      if (!content.includes(text)) continue
      assert.ok(entry.parentPath === directory || basename(path).endsWith('.pass'), `${name} is in ${path}`)
      assert.equal((await stat(path)).mode & 0o077, 0, `${path} can be read by others`)
    }
  }
  return { files, processes: pids.length }
}
