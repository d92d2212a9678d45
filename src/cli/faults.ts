import { defineFaults } from '../std/fault.ts'

export const cliFaults = defineFaults({
  'cli-usage': {
    exitClass: 'usage',
    meaning: 'The command line has an unknown command or option, or a value that cannot be used.',
    hint: '`holdfast help` lists the commands; `holdfast COMMAND --help` shows options and examples.',
  },
  'cli-no-repository': {
    exitClass: 'usage',
    meaning: 'A command needs a repository, and the configuration has none, or none of the given name.',
    hint: 'Add it to `repositories` in holdfast.yaml; `holdfast config reference repositories` explains the keys.',
  },
})
