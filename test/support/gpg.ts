import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'

/** A GnuPG home of a test's own. */
export interface Gpg extends Disposable {
  readonly home: string
  /** Runs gpg and gives its standard output; fails the test when gpg does. */
  run(args: readonly string[], input?: string): string
  /** Whether gpg ends well. */
  succeeds(args: readonly string[], input?: string): boolean
}

/** Undefined where gpg is not installed. */
export async function openGpg(home: string): Promise<Gpg | undefined> {
  if (spawnSync('gpg', ['--version']).status !== 0) return undefined
  await mkdir(home, { mode: 0o700 })
  const env = { ...process.env, GNUPGHOME: home }
  const common = ['--batch', '--quiet', '--pinentry-mode', 'loopback']
  const spawn = (args: readonly string[], input = ''): ReturnType<typeof spawnSync> =>
    spawnSync('gpg', [...common, ...args], { env, input, encoding: 'utf8' })
  return {
    home,
    run: (args, input) => {
      const { status, stdout, stderr } = spawn(args, input)
      assert.equal(status, 0, String(stderr))
      return String(stdout)
    },
    succeeds: (args, input) => spawn(args, input).status === 0,
    [Symbol.dispose]: () => void spawnSync('gpgconf', ['--kill', 'all'], { env }),
  }
}
