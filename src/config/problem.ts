import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument } from 'yaml'
import type { Document } from 'yaml'
import type { z } from 'zod'
import { nearest } from '../std/nearest.ts'
import { settingFacts } from './setting.ts'
import { expectation, knownKeys, listSettings, schemasAt } from './settings.ts'

/** One thing wrong with a configuration file. */
export interface ConfigProblem {
  /** `lease.ttl`, `repositories[0].path`; empty when it is about the file as a whole. */
  readonly path: string
  /** First line is 1. For a missing key, the line of the section it belongs to. */
  readonly line: number
  /** What is wrong, with the given value and what was expected. */
  readonly message: string
}

type Path = readonly PropertyKey[]

/** A YAML text that remembers where each key stands. */
export interface PositionedYaml {
  readonly value: unknown
  readonly problems: readonly ConfigProblem[]
  lineOf(path: Path): number
}

export function parseYaml(text: string): PositionedYaml {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const lineAt = (offset: number): number => lines.linePos(offset).line
  const problems = document.errors.map((error) => ({
    path: '',
    line: lineAt(error.pos[0]),
    message: `not valid YAML: ${error.message.split('\n')[0]}`,
  }))
  const value: unknown = problems.length > 0 ? undefined : document.toJS({ maxAliasCount: 100 })
  return { value, problems, lineOf: (path) => lineAt(offsetOf(document, path)) }
}

/** Where the key at the end of the path stands; where a key is missing, its section; at least the file's start. */
function offsetOf(document: Document, path: Path): number {
  let offset = 0
  let node: unknown = document.contents
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(step))
      if (pair === undefined) return offset
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      if (isNode(node)) offset = node.range?.[0] ?? offset
    } else {
      return offset
    }
  }
  return offset
}

/** Turns what zod found into problems that name the line, the given value, the expectation and the nearest key. */
export function describeIssues(
  schema: z.core.$ZodType,
  issues: readonly z.core.$ZodIssue[],
  yaml: PositionedYaml,
): readonly ConfigProblem[] {
  const problems = issues.flatMap((issue) => describeIssue(schema, issue, yaml))
  const meant = new Set(problems.map((problem) => problem.meant))
  return problems
    .filter((problem) => !(problem.missing && meant.has(problem.path)))
    .map(({ path, line, message }) => ({ path, line, message }))
    .toSorted((a, b) => a.line - b.line)
}

/** A misspelt key explains the one that is missing for it, which then need not be reported as well. */
interface Finding extends ConfigProblem {
  readonly missing?: true
  readonly meant?: string | undefined
}

function describeIssue(schema: z.core.$ZodType, issue: z.core.$ZodIssue, yaml: PositionedYaml): readonly Finding[] {
  const problem = (path: Path, message: string): ConfigProblem => ({
    path: formatPath(path),
    line: yaml.lineOf(path),
    message,
  })
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const { message, meant } = unknownKey(schema, issue.path, key)
      return { ...problem([...issue.path, key], message), meant }
    })
  }
  const given = valueAt(yaml.value, issue.path)
  const own = issue.code === 'custom' && issue.message !== '' && issue.message !== 'Invalid input'
  const expected = own ? issue.message : expectedAt(schema, issue.path)
  if (given === undefined) return [{ ...problem(issue.path, `missing; expected ${expected}`), missing: true }]
  const hidden = isSecret(schema, issue.path) || (own && isSection(given))
  const shown = hidden ? '' : `${show(given)} given; `
  return [problem(issue.path, `${shown}expected ${expected}${quotingHint(schema, issue.path, given)}`)]
}

function unknownKey(
  schema: z.core.$ZodType,
  section: Path,
  key: string,
): { readonly message: string; readonly meant?: string } {
  const keys = schemasAt(schema, section).flatMap(knownKeys)
  const near = nearest(key, keys)
  if (near !== undefined) {
    const meant = formatPath([...section, near])
    return { message: `unknown key; did you mean ${meant}?`, meant }
  }
  const elsewhere = listSettings(schema).find((setting) => setting.path.split('.').at(-1) === key)
  if (elsewhere !== undefined) return { message: `unknown key here; did you mean ${elsewhere.path}?` }
  const place = section.length === 0 ? 'the file' : formatPath(section)
  return { message: `unknown key; ${place} knows ${keys.join(', ')}` }
}

/** Expectation of the nearest described ancestor: an item of a list is explained by its list when it says nothing. */
function expectedAt(schema: z.core.$ZodType, path: Path): string {
  for (let length = path.length; length >= 0; length -= 1) {
    const [found, ...others] = schemasAt(schema, path.slice(0, length))
    if (found !== undefined) return [...new Set([found, ...others].map(expectation))].join(' or ')
  }
  return 'another value'
}

/** `port: "5432"` is text to YAML; saying so spares a puzzled look. */
function quotingHint(schema: z.core.$ZodType, path: Path, given: unknown): string {
  const expected = expectedAt(schema, path)
  if (typeof given === 'string' && expected.startsWith('a whole number') && /^\d+$/.test(given))
    return ', without quotes'
  if (typeof given === 'number' && expected.includes('with its unit')) return `, so perhaps ${given}s`
  return ''
}

/** Somebody may have put the secret itself where the name of its file belongs; it must not end up in a log. */
function isSecret(schema: z.core.$ZodType, path: Path): boolean {
  return schemasAt(schema, path).some((found) => settingFacts.get(found)?.secret === true)
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value
  for (const step of path) {
    if (typeof current !== 'object' || current === null) return undefined
    current = (current as Record<PropertyKey, unknown>)[step]
  }
  return current
}

function isSection(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function show(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a section'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text
}

export function formatPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    return text === '' ? String(step) : `${text}.${String(step)}`
  }, '')
}
