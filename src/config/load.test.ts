import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { isFault } from '../std/fault.ts'
import { configFaults } from './faults.ts'
import { describeProblem, loadConfig, parseConfig } from './load.ts'
import { exampleConfiguration } from './reference.ts'
import { readSecretFile } from './secret-file.ts'
import { asWritten } from './setting.ts'

const minimal = `
cluster: main
node: { name: n1, address: 10.0.0.1, dataDirectory: /d/data, stateDirectory: /d/state }
postgres:
  superuser: { passwordFile: /d/superuser }
  replication: { passwordFile: /d/replication }
coordinator: { type: embedded, file: /d/coordinator.db }
`

function problemsOf(text: string): readonly string[] {
  return (parseConfig(text).problems ?? []).map(describeProblem)
}

/** The minimal configuration with one section or key replaced. */
function changed(change: (config: Record<string, Record<string, unknown>>) => void): string {
  const config = parse(minimal) as Record<string, Record<string, unknown>>
  change(config)
  return stringify(config)
}

describe('a valid configuration', () => {
  test('gets every default, with durations and sizes as amounts', () => {
    const { config } = parseConfig(minimal)
    assert.ok(config)
    assert.deepEqual(config.lease, {
      ttl: { ms: 5000 },
      renew: { ms: 500 },
      stopAhead: { ms: 1500 },
      killAhead: { ms: 500 },
    })
    assert.deepEqual(config.durability, { mode: 'quorum', synchronousStandbys: 1 })
    assert.deepEqual(config.wal, { flush: { ms: 5000 } })
    assert.deepEqual(config.postgres.clients, [{ database: 'all', user: 'all', address: 'all' }])
    assert.equal(config.api.port, 8008)
    assert.deepEqual(config.repositories, [])
  })

  test('reads back the same from what `config show` prints', () => {
    const { config } = parseConfig(minimal)
    assert.deepEqual(parseConfig(stringify(asWritten(config))).config, config)
  })

  test('gives PostgreSQL parameters as text, whatever YAML made of them', () => {
    const text = changed((config) => {
      Object.assign(config['postgres'] ?? {}, { parameters: { work_mem: '64MB', jit: false, max_connections: 50 } })
    })
    assert.deepEqual(parseConfig(text).config?.postgres.parameters, {
      work_mem: '64MB',
      jit: 'false',
      max_connections: '50',
    })
  })
})

test('the example of the reference page is valid', () => {
  assert.deepEqual(problemsOf(exampleConfiguration), [])
})

test('all problems are reported at once, in file order, with line, value and expectation', () => {
  const text = `cluster: Main
node:
  name: n1
  address: 10.0.0.1
  dataDirectory: data
  stateDirectory: /d/state
  priority: -3
postgres:
  port: "5432"
  superuser: { passwordFile: /d/superuser }
  replication: {}
coordinator: { type: consul, file: /d/c.db }
lease: { ttl: 5 }
`
  assert.deepEqual(problemsOf(text), [
    'line 1: cluster: "Main" given; expected lower-case letters, digits and hyphens, at most 40, a letter first',
    'line 5: node.dataDirectory: "data" given; expected an absolute path',
    'line 7: node.priority: -3 given; expected a whole number from 0 to 1000',
    'line 9: postgres.port: "5432" given; expected a whole number from 1 to 65535, without quotes',
    'line 11: postgres.replication.passwordFile: missing; expected an absolute path',
    'line 12: coordinator.type: "consul" given; expected embedded',
    'line 13: lease.ttl: 5 given; expected a duration with its unit (ms, s, m, h, d) from 2s to 5m, so perhaps 5s',
  ])
})

describe('an unknown key', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['lease:\n  tll: 5s', 'line 8: lease.tll: unknown key; did you mean lease.ttl?'],
    ['durabilty: { mode: async }', 'line 7: durabilty: unknown key; did you mean durability?'],
    ['api: { Port: 1 }', 'line 7: api.Port: unknown key; did you mean api.port?'],
    ['lease: { stop_ahead: 1s }', 'line 7: lease.stop_ahead: unknown key; did you mean lease.stopAhead?'],
    ['ttl: 5s', 'line 7: ttl: unknown key here; did you mean lease.ttl?'],
    ['log: { colour: true }', 'line 7: log.colour: unknown key; log knows level'],
  ]
  for (const [addition, expected] of cases) {
    test(`${addition.replace('\n', ' ')} is named with the nearest one`, () => {
      assert.deepEqual(problemsOf(`${minimal.trim()}\n${addition}`), [expected])
    })
  }

  test('that stands for a required one is reported once', () => {
    const text = minimal.replace('address:', 'adress:')
    assert.deepEqual(problemsOf(text), ['line 3: node.adress: unknown key; did you mean node.address?'])
  })

  test('does not print its value, which may be a password', () => {
    const text = changed((config) => {
      Object.assign(config['postgres'] ?? {}, { superuser: { password: 'hunter2', passwordFile: 'hunter3' } })
    })
    assert.equal(problemsOf(text).length, 2)
    assert.doesNotMatch(problemsOf(text).join('\n'), /hunter/)
  })
})

describe('contradictions', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['a lease renewed too rarely', 'lease: { ttl: 4s, renew: 1200ms }', /lease\.renew: .*a quarter of lease\.ttl/],
    [
      'a kill before the stop',
      'lease: { stopAhead: 1s, killAhead: 1s }',
      /lease\.killAhead: .*less than lease\.stopAhead/,
    ],
    ['one port for two', 'api: { port: 5432 }', /api\.port: 5432 given; expected a port other than postgres\.port/],
    [
      'a repository inside the data directory',
      'repositories: [{ name: a, type: filesystem, path: /d/data/r, passphraseFile: /p }]',
      /repositories\[0\]\.path: .*outside node\.dataDirectory/,
    ],
    [
      'a repository nothing opens',
      'repositories: [{ name: a, type: filesystem, path: /r }]',
      /repositories\[0\]: expected passphraseFile or privateKeyFile/,
    ],
    [
      'two repositories of one name',
      'repositories: [{ name: a, type: filesystem, path: /r, passphraseFile: /p }, { name: a, type: filesystem, path: /s, passphraseFile: /p }]',
      /repositories\[1\]\.name: "a" given; expected a name no other/,
    ],
  ]
  for (const [name, addition, expected] of cases) {
    test(`${name} is refused`, () => {
      const problems = problemsOf(`${minimal.trim()}\n${addition}`)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0] ?? '', expected)
    })
  }

  test('a parameter that Holdfast owns is refused', () => {
    const text = changed((config) => {
      Object.assign(config['postgres'] ?? {}, { parameters: { FSYNC: 'off' } })
    })
    assert.match(problemsOf(text).join(), /postgres\.parameters\.FSYNC: "off" given; expected another parameter/)
  })

  test('a state directory inside the data directory is refused, and one too long for a socket', () => {
    const inside = minimal.replace('/d/state', '/d/data/state')
    assert.match(problemsOf(inside).join(), /node\.stateDirectory: .*outside node\.dataDirectory/)
    const long = minimal.replace('/d/state', `/${'x'.repeat(90)}`)
    assert.match(problemsOf(long).join(), /node\.stateDirectory: .*at most 80 characters/)
  })
})

test('text that is no YAML, and duplicate keys, are named with their line', () => {
  assert.match(problemsOf('cluster: [main\n').join(), /line [12]: not valid YAML/)
  assert.match(problemsOf('cluster: a\ncluster: b\n').join(), /line 2: not valid YAML: Map keys must be unique/)
})

describe('finding the file', () => {
  test('prefers --config, then HOLDFAST_CONFIG, then ./holdfast.yaml', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'hf-config-'))
    try {
      for (const name of ['named', 'environment', 'holdfast']) {
        await writeFile(join(directory, `${name}.yaml`), minimal)
      }
      const find = async (named: string | undefined, variable: string | undefined): Promise<string> =>
        (await loadConfig({ named, environment: { HOLDFAST_CONFIG: variable }, directory })).file
      assert.equal(await find('named.yaml', 'environment.yaml'), join(directory, 'named.yaml'))
      assert.equal(await find(undefined, 'environment.yaml'), join(directory, 'environment.yaml'))
      assert.equal(await find(undefined, undefined), join(directory, 'holdfast.yaml'))
      await assert.rejects(find('absent.yaml', undefined), (error) => isFault(error, configFaults['config-missing']))
      await assert.rejects(find('.', undefined), (error) => isFault(error, configFaults['config-missing']))
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

test('a secret file must exist, have content, and be closed to others', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hf-secret-'))
  const file = join(directory, 'secret')
  const unusable = (pattern: RegExp) => (error: unknown) =>
    isFault(error, configFaults['config-secret-unusable']) &&
    pattern.test(error.message) &&
    !error.message.includes('s3cret')
  try {
    await assert.rejects(readSecretFile('k', file), unusable(/does not exist/))
    await writeFile(file, 's3cret\n', { mode: 0o600 })
    assert.equal((await readSecretFile('k', file)).reveal(), 's3cret')
    await chmod(file, 0o644)
    await assert.rejects(readSecretFile('k', file), unusable(/mode is 644/))
    await chmod(file, 0o600)
    await writeFile(file, '\n')
    await assert.rejects(readSecretFile('k', file), unusable(/is empty/))
    await assert.rejects(readSecretFile('k', directory), unusable(/mode is|cannot be read/))
  } finally {
    await rm(directory, { recursive: true })
  }
})

describe('copies of the first repository', () => {
  const first = { name: 'local', type: 'filesystem', path: '/b/one', passphraseFile: '/d/passphrase' }
  const copy = { name: 'offsite', type: 'filesystem', path: '/b/two' }
  const withRepositories = (...repositories: readonly object[]): string =>
    stringify({ ...(parse(minimal) as object), repositories })

  test('use the keys of the first where they name none, and may have a bandwidth and rules of their own', () => {
    const own = { ...copy, name: 'other', path: '/b/three', privateKeyFile: '/d/key' }
    const limits = { bandwidth: '20MB', retention: { days: 90 } }
    const { config } = parseConfig(withRepositories(first, { ...copy, ...limits }, own))
    assert.deepEqual(
      config?.repositories.map(({ passphraseFile, privateKeyFile }) => [passphraseFile, privateKeyFile]),
      [
        ['/d/passphrase', undefined],
        ['/d/passphrase', undefined],
        [undefined, '/d/key'],
      ],
    )
    assert.equal(config?.repositories[1]?.bandwidth?.bytes, 20 << 20)
    assert.equal(config?.repositories[1]?.retention?.days, 90)
    assert.deepEqual(config === undefined ? '' : asWritten(config.repositories[1]?.bandwidth), '20MB')
  })

  test('the first needs a key and is no copy; each has a place of its own', () => {
    const refused = (...repositories: readonly object[]): string => problemsOf(withRepositories(...repositories)).join()
    assert.match(refused({ ...first, passphraseFile: undefined }, copy), /without one of them nothing opens/)
    assert.match(refused({ ...first, bandwidth: '1MB' }), /no bandwidth here/)
    assert.match(refused(first, { ...copy, path: '/b/../b/one/' }), /a place of its own, not that of local/)
    assert.match(refused(first, { ...copy, path: '/b/one/within' }), /a place of its own/)
    assert.match(refused(first, copy, { ...copy, name: 'third', path: '/b' }), /a place of its own/)
    assert.match(refused(first, { ...copy, bandwidth: 'fast' }), /expected a size/)
    assert.equal(refused(first, copy), '')
  })
})

test('the repositories of the guide to stores are accepted as they stand there', async () => {
  const guide = await readFile(new URL('../../docs/guide/off-site-stores.md', import.meta.url), 'utf8')
  const blocks = [...guide.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  assert.ok(blocks.length >= 3)
  for (const block of blocks) {
    const text = exampleConfiguration.slice(0, exampleConfiguration.indexOf('repositories:')) + block
    assert.deepEqual(parseConfig(text).problems, undefined, block)
  }
})

test('credentials of an S3 repository are named whole and once', () => {
  const repository = (lines: string): string =>
    `${exampleConfiguration.slice(0, exampleConfiguration.indexOf('repositories:'))}repositories:\n  - { name: s, type: s3, bucket: bbb, passphraseFile: /p, ${lines} }\n`
  const problems = (lines: string): readonly string[] =>
    (parseConfig(repository(lines)).problems ?? []).map(({ path }) => path)
  assert.deepEqual(problems('region: eu'), [])
  assert.deepEqual(problems('accessKeyIdFile: /a'), ['repositories[0].accessKeyIdFile'])
  assert.deepEqual(problems('secretAccessKeyFile: /a'), ['repositories[0].secretAccessKeyFile'])
  assert.deepEqual(problems('accessKeyIdFile: /a, secretAccessKeyFile: /b, credentialsFile: /c'), [
    'repositories[0].credentialsFile',
  ])
  assert.deepEqual(problems("endpoint: 'ftp://x'"), ['repositories[0].endpoint'])
  assert.deepEqual(problems("endpoint: 'https://key:secret@x'"), ['repositories[0].endpoint'])
  assert.deepEqual(problems('lock: { mode: compliance }'), ['repositories[0].lock.days'])
})

test('a store that cannot create only if absent will do for a copy, and not for the first repository', () => {
  const text = `${exampleConfiguration.slice(0, exampleConfiguration.indexOf('repositories:'))}repositories:
  - { name: a, type: s3, bucket: bbb, passphraseFile: /p }
  - { name: b, type: s3, bucket: bbb2 }
  - { name: c, type: webdav, url: 'https://h/p' }
  - { name: d, type: s3, bucket: bbb4, conditionalCreate: required }
`
  const { config } = parseConfig(text)
  assert.deepEqual(
    config?.repositories.map((repository) => (repository.type === 'filesystem' ? '' : repository.conditionalCreate)),
    [undefined, 'emulated', 'emulated', 'required'],
  )
})

test('a schedule that cannot be read, never comes, or is in no time zone says what was expected', () => {
  const schedules = (lines: string): readonly string[] => problemsOf(`${minimal.trim()}\nschedules: ${lines}`)
  assert.deepEqual(schedules(`{ backup: { at: '0 25 * * *' } }`), [
    'line 7: schedules.backup.at: "0 25 * * *" given; expected off, or an hour from 0 to 23 instead of "25"',
  ])
  assert.deepEqual(schedules(`{ timeZone: Mars/Base, expire: { at: '0 2 30 2 *' } }`), [
    'line 7: schedules.timeZone: "Mars/Base" given; expected a time zone by its IANA name, like UTC or Europe/Berlin',
    'line 7: schedules.expire.at: "0 2 30 2 *" given; expected off, or after-backup, or a moment that comes: no month that it names has such a day',
  ])
  assert.deepEqual(schedules(`{ backup: { fullEvery: off, jitter: 10m }, expire: { at: off } }`), [])
})
