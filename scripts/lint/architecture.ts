import { dirname, join, relative, sep } from 'node:path'

/**
 * The architecture as lint rules: which subject may import which (imports point down the list only), and what a pure
 * `core/` folder may use. The message gives the reason, because a rule nobody understands is a rule somebody removes.
 */
const layers: readonly (readonly string[])[] = [
  ['main.ts'],
  ['cli', 'http'],
  ['config'],
  ['drill', 'alert', 'schedule'],
  ['cluster', 'component'],
  ['backup', 'restore', 'archive'],
  ['repository'],
  ['postgres', 'store', 'coordinator'],
  ['wal'],
  ['std'],
]

interface Node {
  readonly type: string
  readonly [property: string]: unknown
}

interface RuleContext {
  readonly filename: string
  readonly cwd: string
  report(problem: { node: Node; message: string }): void
}

interface Place {
  readonly subject: string
  readonly layer: number
  readonly core: boolean
}

/** Where a file stands in `src/`; undefined for files outside of it. */
function placeOf(cwd: string, file: string): Place | undefined {
  const parts = relative(cwd, file).split(sep)
  const subject = parts[1]
  if (parts[0] !== 'src' || subject === undefined) return undefined
  return { subject, layer: layers.findIndex((layer) => layer.includes(subject)), core: parts.includes('core') }
}

function literal(node: unknown): string | undefined {
  const source = node as { type?: string; value?: unknown } | null | undefined
  return source?.type === 'Literal' && typeof source.value === 'string' ? source.value : undefined
}

/** Why this import is not allowed, or undefined when it is. */
function objection(context: RuleContext, specifier: string, typesOnly: boolean): string | undefined {
  const from = placeOf(context.cwd, context.filename)
  if (from === undefined) return undefined
  if (from.layer < 0)
    return `"src/${from.subject}" is no subject of the architecture: add it to the list in scripts/lint`
  const test = context.filename.endsWith('.test.ts')
  if (!specifier.startsWith('.')) {
    if (from.core && !test) {
      return `A core/ folder is pure: data in, data out. "${specifier}" brings in the outside world; do that at the edge`
    }
    return undefined
  }
  const target = placeOf(context.cwd, join(dirname(context.filename), specifier))
  if (target === undefined) {
    return test ? undefined : 'Shipped code does not import from outside src/'
  }
  if (from.core && !test && !target.core && !(target.subject === 'std' && typesOnly)) {
    return 'A core/ folder imports only other core/ folders and the types of std, so that it stays pure'
  }
  if (target.subject === from.subject || test) return undefined
  if (target.layer === from.layer) {
    return `"${from.subject}" and "${target.subject}" stand on the same layer and know nothing of each other: join them one layer up`
  }
  if (target.layer < from.layer) {
    return `Imports point down only: "${target.subject}" stands above "${from.subject}". Pass what is needed as a parameter`
  }
  return undefined
}

const importLaw = {
  create(context: RuleContext) {
    const check = (node: Node): void => {
      const specifier = literal(node['source'])
      if (specifier === undefined) return
      const typesOnly = node['importKind'] === 'type' || node['exportKind'] === 'type'
      const message = objection(context, specifier, typesOnly)
      if (message !== undefined) context.report({ node, message })
    }
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    }
  },
}

const impureGlobals = new Set([
  'process',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'fetch',
  'performance',
  'crypto',
  'console',
])

const pureCore = {
  create(context: RuleContext) {
    if (placeOf(context.cwd, context.filename)?.core !== true || context.filename.endsWith('.test.ts')) return {}
    const report = (node: Node, what: string): void =>
      context.report({ node, message: `A core/ folder is pure: ${what}. Take the value as a parameter` })
    return {
      AwaitExpression: (node: Node) => report(node, 'nothing waits here'),
      CallExpression(node: Node) {
        const callee = node['callee'] as Node & {
          name?: string
          object?: Node & { name?: string }
          property?: { name?: string }
        }
        const object = callee.object?.name
        const property = callee.property?.name
        if (object === 'Date' && property === 'now') report(node, 'it has no clock')
        if (object === 'Math' && property === 'random') report(node, 'it has no chance')
        if (callee.type === 'Identifier' && impureGlobals.has(callee.name ?? ''))
          report(node, `it does not use ${callee.name}`)
      },
      NewExpression(node: Node) {
        const callee = node['callee'] as Node & { name?: string }
        const plainNow = callee.name === 'Date' && (node['arguments'] as unknown[]).length === 0
        if (plainNow) report(node, 'it has no clock')
      },
      MemberExpression(node: Node) {
        const object = node['object'] as Node & { name?: string }
        if (object.type === 'Identifier' && impureGlobals.has(object.name ?? ''))
          report(node, `it does not use ${object.name}`)
      },
    }
  },
}

export default {
  meta: { name: 'architecture' },
  rules: { 'import-law': importLaw, 'pure-core': pureCore },
}
