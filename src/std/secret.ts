import { inspect } from 'node:util'

const redacted = '[redacted]'

/**
 * A value that must never reach a log, an event, a report or an argument list. Whatever prints it prints `[redacted]`;
 * only {@link Secret.reveal} gives the value, so that a reader can search for every place that uses one.
 */
export class Secret<Value = string> {
  readonly #value: Value

  constructor(value: Value) {
    this.#value = value
  }

  reveal(): Value {
    return this.#value
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [inspect.custom](): string {
    return redacted
  }
}
