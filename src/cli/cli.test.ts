import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { commands as all } from './commands.ts'

/** The real program, as a child process. */
const program = join(import.meta.dirname, '..', 'main.ts')

const commands = all.filter((entry) => !('run' in entry && entry.hidden === true))

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

let directory = ''
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hf-cli-'))
})
after(() => rm(directory, { recursive: true }))

function holdfast(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: directory, NODE_DISABLE_COMPILE_CACHE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

async function configFile(text: string): Promise<string> {
  const file = join(directory, 'given.yaml')
  await writeFile(file, text)
  return file
}

function validConfig(): string {
  return `cluster: main
node: { name: n1, address: 127.0.0.1, dataDirectory: ${directory}/data, stateDirectory: ${directory}/state }
postgres:
  superuser: { passwordFile: ${directory}/superuser }
  replication: { passwordFile: ${directory}/replication }
coordinator: { type: embedded, file: ${directory}/coordinator/coordinator.db }
`
}

describe('help', () => {
  test('lists every command', async () => {
    const { code, stdout, stderr } = await holdfast('--help')
    assert.equal(code, 0)
    assert.equal(stderr, '')
    for (const command of commands) assert.match(stdout, new RegExp(`^  ${command.name}\\b`, 'm'))
  })

  for (const entry of commands) {
    const lines = 'run' in entry ? [[entry.name]] : entry.commands.map((command) => [entry.name, command.name])
    for (const line of lines) {
      test(`of ${line.join(' ')} has examples and exit codes`, async () => {
        const { code, stdout } = await holdfast(...line, '--help')
        assert.equal(code, 0)
        assert.match(stdout, new RegExp(`Examples:\n  \\$ .*holdfast ${line.join(' ')}`))
        assert.match(stdout, /Exit codes:\n +0 {2}\S/)
        assert.match(stdout, /130 {2}interrupted/)
        assert.match(stdout, /--json/)
      })
    }
  }
})

describe('a command line that cannot be read', () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /a command is missing/],
    [['statsu'], /unknown command 'statsu' \(Did you mean status\?\)/],
    [['config', 'chek'], /unknown command 'chek' \(Did you mean check\?\)/],
    [['status', '--jsn'], /unknown option '--jsn' \(Did you mean --json\?\)/],
    [['status', 'surplus'], /too many arguments/],
  ]
  for (const [args, expected] of cases) {
    test(`"${args.join(' ')}" exits 2 and says what is meant`, async () => {
      const { code, stdout, stderr } = await holdfast(...args)
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.match(stderr, expected)
      assert.match(stderr, /\n {2}hint: /)
    })
  }

  test('is a JSON document with --json', async () => {
    const { code, stdout, stderr } = await holdfast('statsu', '--json')
    assert.equal(code, 2)
    assert.equal(stderr, '')
    const { error, exitCode } = JSON.parse(stdout) as { error: { code: string }; exitCode: number }
    assert.deepEqual([error.code, exitCode], ['cli-usage', 2])
  })
})

test('version names Holdfast, Node.js and what was found, also as JSON', async () => {
  const text = await holdfast('version')
  assert.equal(text.code, 0)
  assert.match(text.stdout, /^holdfast \d+\.\d+\.\d+\nnode v?\d+/)
  const { stdout } = await holdfast('version', '--json')
  const { holdfast: version, postgres } = JSON.parse(stdout) as { holdfast: string; postgres: unknown[] }
  assert.match(version, /^\d+\.\d+\.\d+$/)
  assert.ok(Array.isArray(postgres))
  assert.equal((await holdfast('--version')).stdout.trim(), version)
})

describe('config', () => {
  test('check says fine, and show fills in defaults', async () => {
    const file = await configFile(validConfig())
    const check = await holdfast('config', 'check', '--config', file)
    assert.deepEqual([check.code, check.stderr], [0, ''])
    assert.match(check.stdout, /fine \(cluster main, node n1\)/)
    const show = await holdfast('config', 'show', '--config', file, '--json')
    const { config } = JSON.parse(show.stdout) as { config: { lease: { ttl: string } } }
    assert.equal(config.lease.ttl, '5s')
  })

  test('check exits 2 with every problem in one block on stderr', async () => {
    const file = await configFile('clustr: main\nlease: { tll: 5 }\n')
    const { code, stdout, stderr } = await holdfast('config', 'check', '--config', file)
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /line 1: clustr: unknown key; did you mean cluster\?/)
    assert.match(stderr, /line 2: lease\.tll: unknown key; did you mean lease\.ttl\?/)
    assert.match(stderr, /\(config-invalid\)/)
    assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace')
  })

  test('a missing file exits 2 and names where it was looked for', async () => {
    const { code, stderr } = await holdfast('config', 'check')
    assert.equal(code, 2)
    assert.match(stderr, /Cannot find a configuration: .*holdfast\.yaml/)
  })

  test('reference explains one section, or exits 4', async () => {
    const lease = await holdfast('config', 'reference', 'lease')
    assert.equal(lease.code, 0)
    assert.match(lease.stdout, /^lease\.ttl\n {4}\S/)
    assert.doesNotMatch(lease.stdout, /postgres\.port/)
    assert.equal((await holdfast('config', 'reference', 'leas')).code, 4)
  })

  test('schema is a JSON Schema that knows the required keys', async () => {
    const { stdout } = await holdfast('config', 'schema')
    const schema = JSON.parse(stdout) as { required: string[] }
    assert.deepEqual(schema.required, ['cluster', 'node', 'postgres', 'coordinator'])
  })
})

test('output that nobody reads to its end is no error', async () => {
  const child = spawn('sh', ['-c', '"$1" "$2" config reference | head -n 1', 'sh', process.execPath, program], {
    env: { PATH: process.env['PATH'], HOME: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  await new Promise((resolve) => child.on('close', resolve))
  assert.equal(stderr, '')
})
