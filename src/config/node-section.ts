import { z } from 'zod'
import { absolutePath, host, onOff, setting, text, textMap, wholeNumber } from './setting.ts'

/**
 * PostgreSQL's socket, `<stateDirectory>/run/.s.PGSQL.65535`, has to fit into the kernel's 107 bytes for a socket name.
 */
const longestStateDirectory = 80

const tags = z
  .strictObject({
    noFailover: setting(onOff().prefault(false), {
      about: 'This node never becomes the primary by itself.',
      change: 'restart',
    }),
    noSync: setting(onOff().prefault(false), {
      about: 'This node is never counted for synchronous durability.',
      change: 'restart',
    }),
    noLoadBalance: setting(onOff().prefault(false), {
      about: 'This node answers 503 on `/replica`, so that load balancers send it no reads.',
      change: 'restart',
    }),
  })
  .prefault({})

/** The machine this file is for; the only section that differs from node to node. */
export const nodeSection = z
  .strictObject({
    name: setting(
      text(
        /^(?!archive-)[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/,
        'lower-case letters, digits and hyphens, at most 40, a letter first, not `archive-…`',
      ),
      {
        about: 'The name of this node, unique in the cluster; its slot is named after it.',
        change: 'fixed',
        example: 'node1',
      },
    ),
    address: setting(host(), {
      about: 'Where the other nodes and the clients reach this one.',
      change: 'restart',
      example: '10.0.0.1',
    }),
    dataDirectory: setting(absolutePath(), {
      about: "PostgreSQL's data directory. Empty or absent: Holdfast creates or clones it.",
      change: 'fixed',
      example: '/var/lib/holdfast/data',
    }),
    stateDirectory: setting(absolutePath({ maxLength: longestStateDirectory }), {
      about: "Holdfast's own files: sockets, event log, WAL spool, divergent WAL kept aside.",
      change: 'restart',
      example: '/var/lib/holdfast/state',
    }),
    priority: setting(wholeNumber(0, 1000).prefault(100), {
      about: 'Among equally recent standbys the one with the higher priority takes over.',
      change: 'restart',
    }),
    site: setting(text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, `.`, `_` and `-`').prefault('default'), {
      about: 'The place (room, data centre) this node stands in.',
      change: 'restart',
    }),
    tags,
    labels: setting(textMap(/^[A-Za-z0-9._-]{1,63}$/, 'names with plain values').prefault({}), {
      about: 'Free labels, which health checks can ask for with `?tag_<name>=<value>`.',
      change: 'restart',
      example: '{ disk: nvme }',
    }),
  })
  .superRefine((node, context) => {
    if (contains(node.dataDirectory, node.stateDirectory) || contains(node.stateDirectory, node.dataDirectory)) {
      context.addIssue({
        code: 'custom',
        path: ['stateDirectory'],
        message: 'a directory outside node.dataDirectory, and not around it',
      })
    }
  })

/** True when `inner` is `outer` or lies below it. */
export function contains(outer: string, inner: string): boolean {
  const root = outer.endsWith('/') ? outer : `${outer}/`
  return `${inner}/`.startsWith(root)
}
