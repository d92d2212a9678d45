import { asText, defineCommand } from '../command.ts'
import type { CommandGroup } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

const repository = {
  flag: '--repository <name>',
  about: 'only this repository (default: the first one, with its copies)',
  parse: asText,
} as const

const passphraseFile = {
  flag: '--passphrase-file <file>',
  about: 'the new passphrase: a file, - for standard input, or credential:NAME from $CREDENTIALS_DIRECTORY',
  parse: asText,
} as const

const name = {
  flag: '--name <name>',
  about: 'what to call it in the list (default: made up)',
  parse: asText,
} as const

function parseFiles(text: string, previous: unknown): readonly string[] {
  return [...(Array.isArray(previous) ? (previous as readonly string[]) : []), text]
}

const changeExits = {
  ok: 'done, in the repository and its copies',
  degraded: 'done in the repository, but a copy, which is named, does not have it yet',
  notFound: 'there is no repository',
  unreachable: 'the repository does not answer',
} as const

const list = defineCommand({
  name: 'list',
  summary: 'show who opens a repository, and its data keys',
  description:
    'Shows every key object of a repository: the name of the passphrase or recipient it is for, the data key in it, and whether the configured secrets open it. Everything in a repository is encrypted with a data key; the newest seals what is stored now.',
  options: {
    repository: { flag: '--repository <name>', about: 'the repository (default: the first one)', parse: asText },
  },
  examples: [{ command: 'holdfast keys list', about: 'who opens the first repository' }],
  exits: {
    ok: 'listed, and the configured secrets open every data key',
    notFound: 'there is no repository',
    refused: 'the configured secrets do not open every data key',
    integrity: 'a key object is damaged',
    unreachable: 'the repository does not answer',
  },
  run: async (context, options) => {
    const { runKeysList } = await import('../keys/run-keys-list.ts')
    const { config } = await loadContextConfig(context)
    return await runKeysList(config, context, options)
  },
})

const add = defineCommand({
  name: 'add',
  summary: 'let another passphrase or OpenPGP key open a repository',
  description:
    'Wraps every data key of the repository for a passphrase or for OpenPGP public keys as well; what is stored is not rewritten, and what opened it before still does. The key objects are ordinary OpenPGP messages: `gpg -d` opens them. Each is read back and, with a passphrase, opened before the command ends. Interrupted, it can be run again under the same --name.',
  options: {
    repository,
    passphraseFile,
    recipient: {
      flag: '--recipient <file>',
      about: 'an OpenPGP public key (an ASCII-armored file); may be given several times: each of them opens it',
      parse: parseFiles,
    },
    name,
  },
  examples: [
    {
      command: 'holdfast keys add --recipient /etc/holdfast/escrow.pub.asc --name escrow',
      about: 'for a key in a safe',
    },
    { command: 'holdfast keys add --passphrase-file credential:new', about: 'a second passphrase' },
  ],
  exits: {
    ...changeExits,
    refused: 'the configured secret does not open the repository, or the name is taken',
    integrity: 'a data key is not open to the configured secret, or a key object is damaged',
  },
  run: async (context, options) => {
    const { runKeysAdd } = await import('../keys/run-keys-add.ts')
    const { config } = await loadContextConfig(context)
    return await runKeysAdd(config, context, options)
  },
})

const remove = defineCommand({
  name: 'remove',
  summary: 'take a passphrase or OpenPGP key away from a repository',
  description:
    'Removes the key objects of one name, in the repository and in its copies. Refused when the configured secret would no longer open every data key: this is tried, not assumed. It cannot undo what was seen: whoever has that key and a copy of the removed objects can still read what was stored until now.',
  arguments: [{ syntax: '<name>', about: 'the name, as `holdfast keys list` shows it' }],
  options: { repository },
  examples: [
    { command: 'holdfast keys remove escrow', about: 'it no longer opens what `keys rotate --data-key` seals' },
  ],
  exits: {
    ...changeExits,
    notFound: 'there is no repository, or nothing of this name in it',
    refused: 'the configured secret would no longer open the repository',
  },
  run: async (context, options, [given = '']) => {
    const { runKeysRemove } = await import('../keys/run-keys-remove.ts')
    const { config } = await loadContextConfig(context)
    return await runKeysRemove(config, context, { ...options, name: given })
  },
})

const rotate = defineCommand({
  name: 'rotate',
  summary: 'change the passphrase, or the data key, without rewriting anything',
  description:
    'With --passphrase-file every data key is wrapped for a new passphrase. The old one keeps opening the repository until `holdfast keys remove` takes it away, so that no node is shut out while the new one is handed out. With --data-key a new data key is made, for everybody who opens the repository now: it seals what is stored from now on, and the old ones stay for what there is. A crash at any moment leaves a repository that the old passphrase opens; the command is then run again.',
  options: {
    repository,
    passphraseFile,
    dataKey: { flag: '--data-key', about: 'make a new data key' },
    recipient: {
      flag: '--recipient <file>',
      about: 'with --data-key: the public key of a recipient that is not in recipientFiles; may be given several times',
      parse: parseFiles,
    },
    name,
  },
  examples: [
    { command: 'holdfast keys rotate --passphrase-file /etc/holdfast/new.passphrase', about: 'a new passphrase' },
    { command: 'holdfast keys rotate --data-key', about: 'after somebody who had the passphrase has left' },
  ],
  exits: {
    ...changeExits,
    refused: 'the configured secret does not open the repository, or somebody could not open the new data key',
    integrity: 'a data key is not open to the configured secret, or a key object is damaged',
  },
  run: async (context, options) => {
    const { runKeysRotate } = await import('../keys/run-keys-rotate.ts')
    const { config } = await loadContextConfig(context)
    return await runKeysRotate(config, context, options)
  },
})

const test = defineCommand({
  name: 'test',
  summary: 'try every configured key on every repository',
  description:
    'Reads every configured secret file and tries it, alone, on every repository and copy: it must open every data key, and with them the newest backup. Of recipients, whose private keys are elsewhere, it looks whether the data keys are wrapped for them. What was seen is recorded in the repository. A wrong or lost key is found by this before it is needed.',
  options: {
    repository: { flag: '--repository <name>', about: 'only this repository (default: all of them)', parse: asText },
  },
  examples: [{ command: 'holdfast keys test', about: 'all keys, all repositories' }],
  exits: {
    ok: 'every key opens everything, and this is recorded',
    degraded: 'every key opens everything, but it could not be recorded',
    usage: 'a secret file cannot be used',
    notFound: 'there is no repository',
    refused: 'a key does not open the repository',
    integrity: 'a key opens only some data keys, or a key object or the newest backup is damaged',
    unreachable: 'a repository does not answer',
  },
  run: async (context, options) => {
    const { runKeysTest } = await import('../keys/run-keys-test.ts')
    const { config } = await loadContextConfig(context)
    return await runKeysTest(config, context, options)
  },
})

export const keysCommands: CommandGroup = {
  name: 'keys',
  summary: 'show, add, remove, rotate and test what opens a repository',
  description:
    'Everything in a repository is encrypted with data keys; these lie in it, wrapped for passphrases and OpenPGP keys. These commands change who opens it; they never rewrite what is stored.',
  commands: [list, add, remove, rotate, test],
}
