/**
 * Bytes or text that are not what the format says. The pure decoders throw it with the exact place; the code around
 * them, which knows the object's name, turns it into a fault.
 */
export class Malformed extends Error {
  readonly problem: 'truncated' | 'altered' | 'unsupported'

  constructor(problem: Malformed['problem'], message: string) {
    super(message)
    this.name = 'Malformed'
    this.problem = problem
  }
}
