import type { z } from 'zod'
import { settingFacts, valueFacts } from './setting.ts'
import type { SettingFacts, ValueFacts } from './setting.ts'

/** One key of the configuration, as the reference page and the error messages describe it. */
export interface Setting extends SettingFacts, ValueFacts {
  /** `lease.ttl`; a list's items are written `repositories[].name`. */
  readonly path: string
  readonly required: boolean
  /** As the operator would write it; undefined when there is none. */
  readonly fallback: unknown
  /** The `type` this key belongs to where only some of them have it: `s3, webdav`. */
  readonly variant: string | undefined
}

/** The parts of a zod schema that a walk needs; zod types the rest too widely to say. */
interface Definition {
  readonly type: string
  readonly innerType?: z.core.$ZodType
  readonly defaultValue?: unknown
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly options?: readonly z.core.$ZodType[]
  readonly element?: z.core.$ZodType
  readonly values?: readonly unknown[]
}

/** Every setting of a schema, in the order the schema declares them. */
export function listSettings(schema: z.core.$ZodType): readonly Setting[] {
  return walk(schema, '', undefined)
}

function walk(schema: z.core.$ZodType, path: string, variant: string | undefined): readonly Setting[] {
  const facts = settingFacts.get(schema)
  const opened = unwrap(schema)
  if (facts !== undefined) {
    const value = valueFacts.get(opened.schema)
    if (value === undefined) throw new Error(`setting ${path} does not say what it expects`)
    return [{ ...facts, ...value, path, required: opened.required, fallback: opened.fallback, variant }]
  }
  const definition = definitionOf(opened.schema)
  if (definition.shape !== undefined) {
    return Object.entries(definition.shape).flatMap(([key, child]) =>
      walk(child, path === '' ? key : `${path}.${key}`, variant),
    )
  }
  if (definition.options !== undefined) {
    return mergeVariants(
      definition.options.map((option) => walk(option, path, variantName(option))),
      definition.options.length,
    )
  }
  if (definition.element !== undefined) return walk(definition.element, `${path}[]`, variant)
  throw new Error(`configuration key ${path} has no description`)
}

/** A setting that several variants have is listed once; one that all have belongs to none of them. */
function mergeVariants(variants: readonly (readonly Setting[])[], count: number): readonly Setting[] {
  const merged = new Map<string, Setting & { readonly variants: readonly (string | undefined)[] }>()
  for (const setting of variants.flat()) {
    const key = `${setting.path} ${setting.about}`
    const known = merged.get(key)
    merged.set(key, { ...setting, variants: [...(known?.variants ?? []), setting.variant] })
  }
  return [...merged.values()].map(({ variants: having, ...setting }) => ({
    ...setting,
    variant: having.length === count ? undefined : having.join(', '),
  }))
}

/** The schemas reached by a path of keys and list positions; more than one below a union. */
export function schemasAt(root: z.core.$ZodType, path: readonly PropertyKey[]): readonly z.core.$ZodType[] {
  let reached: readonly z.core.$ZodType[] = [root]
  for (const step of path) reached = reached.flatMap((schema) => child(unwrap(schema).schema, step))
  return reached
}

function child(schema: z.core.$ZodType, step: PropertyKey): readonly z.core.$ZodType[] {
  const definition = definitionOf(schema)
  if (definition.options !== undefined)
    return definition.options.flatMap((option) => child(unwrap(option).schema, step))
  if (definition.element !== undefined) return [definition.element]
  const next = definition.shape?.[String(step)]
  return next === undefined ? [] : [next]
}

/** The keys a section knows; a union knows those of all its variants. */
export function knownKeys(schema: z.core.$ZodType): readonly string[] {
  const definition = definitionOf(unwrap(schema).schema)
  if (definition.shape !== undefined) return Object.keys(definition.shape)
  return [...new Set((definition.options ?? []).flatMap(knownKeys))]
}

/** What a schema expects, in words. */
export function expectation(schema: z.core.$ZodType): string {
  const { schema: inner } = unwrap(schema)
  const described = valueFacts.get(inner)
  if (described !== undefined) return described.expects
  const keys = knownKeys(inner)
  if (keys.length > 0) return `a section with ${keys.join(', ')}`
  return definitionOf(inner).type === 'array' ? 'a list' : 'another value'
}

/** Takes off what only supplies defaults. */
export function unwrap(schema: z.core.$ZodType): {
  readonly schema: z.core.$ZodType
  readonly required: boolean
  readonly fallback: unknown
} {
  const definition = definitionOf(schema)
  if (definition.innerType === undefined) return { schema, required: true, fallback: undefined }
  const inner = unwrap(definition.innerType)
  return { schema: inner.schema, required: false, fallback: definition.defaultValue ?? inner.fallback }
}

function variantName(schema: z.core.$ZodType): string {
  const discriminator = definitionOf(schema).shape?.['type']
  return String(discriminator === undefined ? '' : definitionOf(discriminator).values?.[0])
}

function definitionOf(schema: z.core.$ZodType): Definition {
  return schema._zod.def
}
