import { defineFaults } from '../../std/fault.ts'

export const cloneFaults = defineFaults({
  'postgres-clone-directory-not-empty': {
    exitClass: 'refused',
    meaning: 'A clone would be written into a directory that holds something else.',
    hint: 'Move the directory aside or give an empty one; Holdfast overwrites only its own unfinished clones.',
  },
  'postgres-clone-foreign-system': {
    exitClass: 'refused',
    meaning: 'The server to clone from is not of the expected cluster.',
    hint: 'Check the address in the configuration: another cluster answers there.',
  },
  'postgres-clone-damaged': {
    exitClass: 'integrity',
    meaning: 'What a server sent as its base backup does not agree with its own manifest.',
    hint: 'Nothing of it was kept. Clone again; if it happens again check memory and network of both machines.',
  },
})
