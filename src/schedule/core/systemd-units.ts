/** A job for systemd: one service that runs it, one timer that begins it. */
export interface UnitRequest {
  /** Of both units, without the suffix. */
  readonly name: string
  readonly description: string
  readonly user: string
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** Calendar specifications with their time zones. */
  readonly calendar: readonly string[]
  readonly jitterMs: number
  /** Whether a run that was missed is made up when the machine is there again. */
  readonly persistent: boolean
}

export function serviceUnit({ description, user, command }: UnitRequest): string {
  return [
    '[Unit]',
    `Description=${escapeSpecifiers(description)}`,
    '',
    '[Service]',
    'Type=oneshot',
    `User=${user}`,
    `ExecStart=${command.map(quoteWord).join(' ')}`,
    '# The job itself is asked to stop by the command.',
    'KillMode=mixed',
    '',
  ].join('\n')
}

export function timerUnit({ description, calendar, jitterMs, persistent }: UnitRequest): string {
  const delay = jitterMs === 0 ? [] : [`RandomizedDelaySec=${Math.ceil(jitterMs / 1000)}s`, 'FixedRandomDelay=true']
  return [
    '[Unit]',
    `Description=${escapeSpecifiers(description)}`,
    '',
    '[Timer]',
    ...calendar.map((specification) => `OnCalendar=${specification}`),
    'AccuracySec=1s',
    ...delay,
    `Persistent=${persistent}`,
    '',
    '[Install]',
    'WantedBy=timers.target',
    '',
  ].join('\n')
}

/** systemd.service(5), "Command lines": C escapes in double quotes; `$` and `%` stand for themselves when doubled. */
function quoteWord(word: string): string {
  const plain = escapeSpecifiers(word.replaceAll('$', '$$$$'))
  if (/^[A-Za-z0-9_@%+=:,./$-]+$/.test(plain)) return plain
  return `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

function escapeSpecifiers(text: string): string {
  return text.replaceAll('%', '%%')
}
