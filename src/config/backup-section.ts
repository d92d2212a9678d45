import { z } from 'zod'
import { setting, text } from './setting.ts'

/** How `holdfast backup` and the agent take backups. */
export const backupSection = z
  .strictObject({
    from: setting(
      text(/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/, 'standby, primary, here, or the name of a node').prefault('standby'),
      {
        about:
          'Whose files a backup reads: `standby`, a healthy standby where there is one, else the primary; `primary`; `here`, the node on which the command or the leading agent runs; or a node by its name.',
        change: 'reload',
      },
    ),
  })
  .prefault({})
