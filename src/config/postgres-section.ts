import { z } from 'zod'
import { refusedParameters } from '../postgres/core/server-settings.ts'
import { absolutePath, list, numberChoice, port, setting, text, textMap } from './setting.ts'

const roleName = (): z.ZodString => text(/^[a-z_][a-z0-9_]{0,62}$/, 'a role name of lower-case letters, digits and `_`')

const clientRule = z.strictObject({
  database: setting(text(/^[^\s,"]{1,63}$/, 'a database name or `all`').prefault('all'), {
    about: 'The database these clients may connect to.',
    change: 'restart',
    example: 'app',
  }),
  user: setting(text(/^[^\s,"]{1,63}$/, 'a role name or `all`').prefault('all'), {
    about: 'The role these clients may connect as.',
    change: 'restart',
    example: 'app',
  }),
  address: setting(text(/^[^\s,"]{1,253}$/, 'a host name, an address, a network like 10.0.0.0/24, or `all`'), {
    about: 'Where these clients come from. They always need their SCRAM password.',
    change: 'restart',
    example: '10.0.0.0/24',
  }),
})

/** The PostgreSQL server of this node. */
export const postgresSection = z
  .strictObject({
    binDirectory: setting(absolutePath().optional(), {
      about:
        'Where `postgres` and its tools are. Left out: the usual directories are searched, then embedded PostgreSQL.',
      change: 'restart',
      example: '/usr/lib/postgresql/17/bin',
    }),
    major: setting(numberChoice([15, 16, 17, 18]).optional(), {
      about: 'The major version to use. Left out: that of the data directory, else the newest one found.',
      change: 'fixed',
      example: '17',
    }),
    port: setting(port().prefault(5432), { about: 'The port PostgreSQL listens on.', change: 'restart' }),
    listenAddresses: setting(list(text(/^[^\s,']{1,253}$/, 'an address, a host name or `*`'), 1).prefault(['*']), {
      about: 'The addresses PostgreSQL listens on.',
      change: 'restart',
      example: "['10.0.0.1', 'localhost']",
    }),
    superuser: z.strictObject({
      name: setting(roleName().prefault('postgres'), {
        about: 'The superuser that Holdfast creates and uses.',
        change: 'fixed',
      }),
      passwordFile: setting(absolutePath(), {
        about: "A file with the superuser's password, the same on every node.",
        change: 'restart',
        secret: true,
        example: '/etc/holdfast/superuser.password',
      }),
    }),
    replication: z.strictObject({
      user: setting(roleName().prefault('holdfast_replication'), {
        about: 'The role that standbys and the archiver connect as; it may replicate and nothing else.',
        change: 'fixed',
      }),
      passwordFile: setting(absolutePath(), {
        about: "A file with the replication role's password, the same on every node.",
        change: 'restart',
        secret: true,
        example: '/etc/holdfast/replication.password',
      }),
    }),
    clients: z
      .array(clientRule)
      .max(200)
      .prefault([{ address: 'all' }]),
    parameters: setting(
      textMap(/^[A-Za-z_][A-Za-z0-9_.]*$/, 'PostgreSQL parameters with plain values')
        .superRefine(refuseOwnedParameters)
        .prefault({}),
      {
        about: 'Any other PostgreSQL parameter. Those that Holdfast owns are refused.',
        change: 'reload',
        example: '{ shared_buffers: 2GB, work_mem: 64MB }',
      },
    ),
    walSegmentMegabytes: setting(numberChoice([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]).prefault(16), {
      about: 'The size of a WAL segment in megabytes, fixed when the cluster is created.',
      change: 'fixed',
    }),
  })
  .superRefine((postgres, context) => {
    if (postgres.superuser.name === postgres.replication.user) {
      context.addIssue({
        code: 'custom',
        path: ['replication', 'user'],
        message: 'a role other than postgres.superuser.name',
      })
    }
  })

function refuseOwnedParameters(parameters: Readonly<Record<string, string>>, context: z.RefinementCtx): void {
  const anyServer = {
    port: 5432,
    listenAddresses: [],
    socketDirectory: '/tmp',
    clusterName: 'any',
    memberCount: 1,
    restartAfterCrash: false,
  }
  for (const { name, reason } of refusedParameters({ ...anyServer, parameters })) {
    context.addIssue({ code: 'custom', path: [name], message: `another parameter: ${name} ${reason}` })
  }
}
