import assert from 'node:assert/strict'
import { lstat, readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Fails unless two directories have the same files, directories and links, with the same content and modes; where
 * one names a place in its own surroundings, the other names that in its.
 */
export async function assertSameTree(actual: string, expected: string): Promise<void> {
  const ignored = 'holdfast-recovery-unfinished'
  const right = (await namesOf(expected)).filter((name) => name !== ignored)
  assert.deepEqual(
    (await namesOf(actual)).filter((name) => name !== ignored),
    right,
  )
  for (const name of right) {
    const [a, b] = [await lstat(join(actual, name)), await lstat(join(expected, name))]
    assert.equal(a.mode, b.mode, `mode of ${name}`)
    if (b.isFile()) {
      const [is, should] = [await readFile(join(actual, name)), await readFile(join(expected, name))]
      const text = Buffer.from(is.toString('latin1').replaceAll(actual, expected), 'latin1')
      assert.ok(is.equals(should) || text.equals(should), `content of ${name}`)
    } else if (b.isSymbolicLink()) {
      const [from, to] = [await readlink(join(actual, name)), await readlink(join(expected, name))]
      assert.equal(from.replace(actual, expected), to, `link ${name}`)
      await assertSameTree(from, to)
    }
  }
}

async function namesOf(directory: string): Promise<readonly string[]> {
  return (await readdir(directory, { recursive: true })).toSorted()
}
