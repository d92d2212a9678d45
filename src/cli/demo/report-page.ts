import type { DemoCheck } from './check-list.ts'
import { formatMs, type DemoReport, type FailoverRecord } from './report.ts'

const style = `
:root { color-scheme: light dark; --ink: #1d232b; --soft: #5b6673; --line: #d9dee4; --good: #14774a; --bad: #b3261e; --bar: #3a6ea5; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa5b1; --line: #343c46; --good: #57c793; --bad: #ff8a80; --bar: #7fb0e0; --paper: #14181d } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 2.5rem 1.25rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
h1 { font-size: 1.7rem; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem } p { margin: .3rem 0 }
.soft { color: var(--soft) } .good { color: var(--good) } .bad { color: var(--bad) }
table { width: 100%; table-layout: fixed; border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .35rem .6rem .35rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top }
th { font-weight: 600; color: var(--soft) } td.number { text-align: right; white-space: nowrap; width: 7rem } td { overflow-wrap: anywhere }
.bar { display: block; height: .6rem; border-radius: .3rem; background: var(--bar); min-width: 2px }
.track { width: 45% } .mark { width: 1.6rem }
@media print { :root { --ink: #000; --paper: #fff; --line: #bbb } body { padding: 0; max-width: none; font-size: 11pt } h2 { break-after: avoid } tr, .failover { break-inside: avoid } }
`

/** The report as one HTML page without scripts or outside requests, for the screen and for paper. */
export function reportPage(report: DemoReport): string {
  const failed = report.checks.filter((check) => !check.passed).length
  const verdict = report.passed
    ? `<p class="good">All ${report.checks.length} checks passed.</p>`
    : `<p class="bad">${failed} of ${report.checks.length} checks failed.</p>`
  const chapters = [...new Set(report.checks.map((check) => check.chapter))]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast demo, ${escape(report.startedAt)}</title><style>${style}</style></head><body>
<h1>Holdfast demo</h1>
<p class="soft">${escape(report.startedAt)} · ${formatMs(report.tookMs)} · PostgreSQL ${escape(report.postgres)} · Node.js ${escape(report.node)} · ${escape(report.machine)} · seed ${report.seed} · Holdfast ${escape(report.holdfast)}</p>
${verdict}
${report.failovers.map(failoverSection).join('\n')}
${restoreSection(report)}
${chapters.map((chapter) => checkSection(chapter, report.checks)).join('\n')}
</body></html>
`
}

function failoverSection(failover: FailoverRecord): string {
  const last = Math.max(1, ...failover.marks.map((mark) => mark.atMs ?? 0))
  const rows = failover.marks.map((mark) => {
    const width =
      mark.atMs === undefined ? '' : `<span class="bar" style="width:${((100 * mark.atMs) / last).toFixed(1)}%"></span>`
    return `<tr><td>${escape(mark.name)}</td><td class="track">${width}</td><td class="number">${formatMs(mark.atMs)}</td></tr>`
  })
  const lost = failover.lostRows === undefined ? 'not counted' : String(failover.lostRows)
  return `<section class="failover"><h2>${escape(failover.what)}</h2>
<p>${escape(failover.from)} → ${escape(failover.to ?? 'nobody')} · RTO <strong>${formatMs(failover.rtoMs)}</strong> · acknowledged rows lost: <strong class="${failover.lostRows === 0 ? 'good' : 'bad'}">${lost}</strong> of ${failover.acknowledgedBefore}</p>
<table>${rows.join('')}</table></section>`
}

function restoreSection(report: DemoReport): string {
  const { restore } = report
  if (restore === undefined) return ''
  return `<section><h2>Restored to a point in time</h2>
<p>To ${escape(restore.target)} from backup ${escape(restore.backup)} in <strong>${formatMs(restore.tookMs)}</strong> ·
deleted rows back: <strong>${restore.rowsBack}</strong> · rows from after the target: <strong class="${restore.rowsAfterTarget === 0 ? 'good' : 'bad'}">${restore.rowsAfterTarget}</strong></p></section>`
}

function checkSection(chapter: string, checks: readonly DemoCheck[]): string {
  const rows = checks
    .filter((check) => check.chapter === chapter)
    .map(
      (check) =>
        `<tr><td class="mark ${check.passed ? 'good' : 'bad'}">${check.passed ? '✓' : '✗'}</td><td>${escape(check.title)}</td><td>${escape(check.figure)}</td><td class="number soft">${formatMs(check.tookMs)}</td></tr>`,
    )
  return `<section><h2>${escape(chapter)}</h2><table>${rows.join('')}</table></section>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
