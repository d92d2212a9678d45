import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { formatByteSize, parseByteSize } from '../std/byte-size.ts'
import type { ByteSize } from '../std/byte-size.ts'
import { formatDuration, parseDuration } from '../std/duration.ts'
import type { Duration } from '../std/duration.ts'

/**
 * The building blocks of the configuration schema. Each leaf says what it expects in words, so that errors, help, JSON
 * Schema and the reference page all use the same sentence. Defaults are given as the operator would write them
 * (`prefault('5s')`), so that they too go through the same checks.
 */
export interface SettingFacts {
  /** One sentence: what it does. */
  readonly about: string
  /** What it takes to make a change work. */
  readonly change: 'reload' | 'restart' | 'fixed'
  /** The value names where a secret is; the secret itself never stands in the configuration. */
  readonly secret?: boolean
  readonly example?: string
}

export interface ValueFacts {
  readonly kind: 'text' | 'path' | 'duration' | 'size' | 'number' | 'choice' | 'switch' | 'list' | 'map'
  /** Continues "expected …": `a duration from 1s to 1m, like 5s`. */
  readonly expects: string
  readonly unit?: string
}

export const settingFacts: z.core.$ZodRegistry<SettingFacts> = z.registry<SettingFacts>()
export const valueFacts: z.core.$ZodRegistry<ValueFacts> = z.registry<ValueFacts>()

/** Attaches what the reference says about a setting. */
export function setting<Schema extends z.ZodType>(schema: Schema, facts: SettingFacts): Schema {
  settingFacts.add(schema, facts)
  return schema
}

/** Attaches what a value is, in words. */
export function described<Schema extends z.ZodType>(schema: Schema, facts: ValueFacts): Schema {
  valueFacts.add(schema, facts)
  return schema
}

export function text(pattern: RegExp, expects: string): z.ZodString {
  return described(z.string().regex(pattern), { kind: 'text', expects })
}

export function absolutePath(options: { readonly maxLength?: number } = {}): z.ZodString {
  const most = options.maxLength ?? 1024
  const schema = z
    .string()
    .max(most)
    .refine(isAbsolute)
    .refine((path) => !path.includes('\0'))
  const limit = options.maxLength === undefined ? '' : ` of at most ${most} characters`
  return described(schema, { kind: 'path', expects: `an absolute path${limit}` })
}

const hostName = /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$/

export function host(): z.ZodString {
  const schema = z.string().refine((name) => isIP(name) !== 0 || hostName.test(name))
  return described(schema, { kind: 'text', expects: 'a host name or an IP address' })
}

export function wholeNumber(min: number, max: number, unit?: string): z.ZodNumber {
  const facts = { kind: 'number', expects: `a whole number from ${min} to ${max}` } as const
  return described(z.number().int().min(min).max(max), unit === undefined ? facts : { ...facts, unit })
}

export function port(): z.ZodNumber {
  return wholeNumber(1, 65_535)
}

export function duration(min: string, max: string): z.ZodType<Duration, string> {
  const schema = bounded(parseDuration, (read) => read.ms, min, max)
  const expects = `a duration with its unit (ms, s, m, h, d) from ${min} to ${max}`
  return described(schema, { kind: 'duration', expects, unit: 'ms, s, m, h, d' })
}

export function byteSize(min: string, max: string): z.ZodType<ByteSize, string> {
  const schema = bounded(parseByteSize, (read) => read.bytes, min, max)
  const expects = `a size with its unit (B, kB, MB, GB) from ${min} to ${max}`
  return described(schema, { kind: 'size', expects, unit: 'B, kB, MB, GB' })
}

function bounded<Parsed>(
  parse: (text: string) => Parsed | undefined,
  amount: (parsed: Parsed) => number,
  min: string,
  max: string,
): z.ZodType<Parsed, string> {
  const [least, most] = [parse(min), parse(max)]
  if (least === undefined || most === undefined) throw new Error(`range ${min} to ${max} cannot be read`)
  return z.string().transform((given, context) => {
    const parsed = parse(given)
    if (parsed !== undefined && amount(parsed) >= amount(least) && amount(parsed) <= amount(most)) return parsed
    context.addIssue({ code: 'custom', message: '' })
    return z.NEVER
  })
}

export function choice<const Choices extends readonly [string, ...string[]]>(
  choices: Choices,
): z.ZodEnum<{ [Choice in Choices[number]]: Choice }> {
  return described(z.enum(choices), { kind: 'choice', expects: `one of ${choices.join(', ')}` })
}

export function kind<const Name extends string>(name: Name): z.ZodLiteral<Name> {
  return described(z.literal(name), { kind: 'choice', expects: name })
}

/** A number that must be one of a few. */
export function numberChoice<const Choices extends readonly [number, ...number[]]>(
  choices: Choices,
): z.ZodLiteral<Choices[number]> {
  return described(z.literal([...choices]), { kind: 'choice', expects: `one of ${choices.join(', ')}` })
}

export function onOff(): z.ZodBoolean {
  return described(z.boolean(), { kind: 'switch', expects: 'true or false' })
}

export function list<Item extends z.ZodType>(item: Item, least = 0): z.ZodArray<Item> {
  const expects = `a list of ${least} or more, each ${valueFacts.get(item)?.expects ?? 'as described'}`
  return described(z.array(item).min(least), { kind: 'list', expects })
}

const plainValue = z.union([z.string(), z.number(), z.boolean()])

/** Names with plain values, all given back as text. */
export function textMap(namePattern: RegExp, expects: string): z.ZodType<Readonly<Record<string, string>>> {
  const schema = z.record(z.string().regex(namePattern), plainValue.transform(String))
  return described<z.ZodType<Readonly<Record<string, string>>>>(schema, { kind: 'map', expects })
}

/** Writes a parsed value as the operator would: the inverse of parsing. */
export function asWritten(parsed: unknown): unknown {
  if (typeof parsed !== 'object' || parsed === null) return parsed
  const keys = Object.keys(parsed)
  if (keys.length === 1 && 'ms' in parsed) return formatDuration(parsed as Duration)
  if (keys.length === 1 && 'bytes' in parsed) return formatByteSize(parsed as ByteSize)
  if (Array.isArray(parsed)) return parsed.map(asWritten)
  return Object.fromEntries(Object.entries(parsed).map(([key, item]) => [key, asWritten(item)]))
}
