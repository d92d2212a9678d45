/**
 * Runs a program of this project on the Node.js that the lock file pins, installing what is missing first, so that
 * `npm run demo` and `npm test` work in a fresh clone with any Node.js from 20 on. Plain JavaScript, no dependency:
 * it runs before anything is installed.
 *
 *   node scripts/run.mjs FILE [ARGUMENT…]
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

function fail(message, hint) {
  process.stderr.write(`${message}\n  ${hint}\n`)
  process.exit(1)
}

/** Installs from the lock file unless the installed tree is already the one that it names. */
function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const stamp = join(root, 'node_modules', '.holdfast-installed')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  process.stderr.write('Installing what the lock file names …\n')
  const npm = process.env.npm_execpath
  const [command, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm]
  const arguments_ = [...first, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const result = spawnSync(command, arguments_, { cwd: root, stdio: ['ignore', 2, 2] })
  if (result.status !== 0) {
    fail('Cannot install the dependencies: npm ci failed (its message is above)', 'Check the network and run it again.')
  }
  writeFileSync(stamp, lock)
}

/** The pinned Node.js where npm has one for this platform, else the running one if it is new enough. */
function nodeProgram() {
  const pinned = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(pinned)) {
    const works = spawnSync(pinned, ['--version'], { stdio: 'ignore' }).status === 0
    if (works) return pinned
  }
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  return fail(
    `Cannot run on ${process.platform}-${process.arch} with Node.js ${process.versions.node}: npm has no Node.js 24 that works here`,
    'Install Node.js 24 or newer and run it again.',
  )
}

install()
const program = nodeProgram()
const [file, ...rest] = process.argv.slice(2)
const child = spawn(program, [join(root, file), ...rest], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${dirname(program)}:${join(root, 'node_modules', '.bin')}:${process.env.PATH}` },
})
// A terminal sends Ctrl-C to the whole process group; a supervisor sends SIGTERM to us alone, so that is handed on.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.on('error', (error) =>
  fail(`Cannot start ${String(program)}: ${error.message}`, 'Remove node_modules and run it again.'),
)
child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]))
