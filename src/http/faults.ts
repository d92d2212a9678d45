import { defineFaults } from '../std/fault.ts'

export const httpFaults = defineFaults({
  'http-port-in-use': {
    exitClass: 'busy',
    meaning: 'Another program already listens on the address and port of the HTTP server.',
    hint: 'Change api.port, or stop the other program: `ss -ltnp` names it. Perhaps an agent already runs here.',
  },
  'http-address-unusable': {
    exitClass: 'usage',
    meaning: 'The HTTP server cannot listen on its configured address or port.',
    hint: 'Set api.address to an address of this machine (0.0.0.0 for all) and api.port to 1024 or above.',
  },
})
