import { parseLsn, type Lsn } from '../../wal/core/lsn.ts'
import type { EpochMs } from '../../std/clock.ts'
import { Malformed } from './malformed.ts'

/**
 * Reads fields of parsed JSON one by one; whatever is not as it must be is named by its place. Fields nobody asks for
 * are ignored, so that later versions can add some.
 */
export interface Fields {
  readonly where: string
  /** The object itself. */
  readonly raw: unknown
  text(name: string, pattern?: RegExp): string
  optionalText(name: string): string | null
  integer(name: string, minimum?: number): number
  optionalInteger(name: string, minimum?: number): number | null
  flag(name: string): boolean
  choice<const Choice extends string>(name: string, choices: readonly Choice[]): Choice
  lsn(name: string): Lsn
  time(name: string): EpochMs
  object(name: string): Fields
  /** Undefined where there is none, which is what an earlier version wrote. */
  optionalObject(name: string): Fields | undefined
  objects(name: string): Fields[]
  texts(name: string): Record<string, string>
  textList(name: string): string[]
  /** Empty where there is none. */
  optionalTextList(name: string): string[]
  numberRows(name: string, width: number): number[][]
}

export function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(where, 'an object', value)
  // A plain object of JSON.parse(); what it inherits is no field of it.
  const own: Readonly<Record<string, unknown>> = value as Readonly<Record<string, unknown>>
  const source = { get: (name: string): unknown => (Object.hasOwn(own, name) ? own[name] : undefined) }
  const at = (name: string): string => `${where}.${name}`
  const text = (name: string, pattern?: RegExp): string => {
    const found = source.get(name)
    if (typeof found !== 'string') fail(at(name), 'a text', found)
    if (pattern !== undefined && !pattern.test(found)) fail(at(name), `like ${pattern.source}`, found)
    return found
  }
  const textList = (name: string): string[] =>
    list(source.get(name), at(name)).map((item, index) =>
      typeof item === 'string' ? item : fail(`${at(name)}[${index}]`, 'a text', item),
    )
  return {
    where,
    raw: value,
    text,
    optionalText: (name) => ((source.get(name) ?? null) === null ? null : text(name)),
    integer: (name, minimum = 0) => integerOf(source.get(name), at(name), minimum),
    optionalInteger: (name, minimum = 0) =>
      (source.get(name) ?? null) === null ? null : integerOf(source.get(name), at(name), minimum),
    flag: (name) => {
      const found = source.get(name)
      return typeof found === 'boolean' ? found : fail(at(name), 'true or false', found)
    },
    choice: (name, choices) => {
      const found = text(name)
      return choices.find((choice) => choice === found) ?? fail(at(name), `one of ${choices.join(', ')}`, found)
    },
    lsn: (name) => parseLsn(text(name)) ?? fail(at(name), 'an LSN', source.get(name)),
    time: (name) => {
      const time = Date.parse(text(name))
      return Number.isNaN(time) ? fail(at(name), 'a time', source.get(name)) : (time as EpochMs)
    },
    object: (name) => fieldsOf(source.get(name), at(name)),
    optionalObject: (name) => ((source.get(name) ?? null) === null ? undefined : fieldsOf(source.get(name), at(name))),
    objects: (name) => list(source.get(name), at(name)).map((item, index) => fieldsOf(item, `${at(name)}[${index}]`)),
    texts: (name) => {
      const inner = fieldsOf(source.get(name), at(name))
      return Object.fromEntries(Object.keys(source.get(name) as object).map((key) => [key, inner.text(key)]))
    },
    textList,
    optionalTextList: (name) => ((source.get(name) ?? null) === null ? [] : textList(name)),
    numberRows: (name, width) =>
      list(source.get(name), at(name)).map((row, index) => {
        const cells = list(row, `${at(name)}[${index}]`)
        if (cells.length !== width) fail(`${at(name)}[${index}]`, `${width} numbers`, row)
        return cells.map((cell, column) => integerOf(cell, `${at(name)}[${index}][${column}]`, 0))
      }),
  }
}

function integerOf(value: unknown, where: string, minimum: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum) return value
  return fail(where, `a whole number of at least ${minimum}`, value)
}

function list(value: unknown, where: string): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : fail(where, 'a list', value)
}

function fail(where: string, expected: string, found: unknown): never {
  const shown = found === undefined ? 'missing' : (JSON.stringify(found) ?? 'missing').slice(0, 80)
  throw new Malformed('altered', `${where} must be ${expected}, but is ${shown}`)
}
