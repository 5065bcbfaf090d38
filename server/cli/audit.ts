import { type ChainProblem, type ChainReport, verifyChain } from '../audit/verify-chain.ts'
import { Foreseen } from '../explain.ts'
import { findOrganizations } from '../organizations/operator.ts'
import { formatInstant, formatTable, onOneLine } from './output.ts'
import type { Work } from './work.ts'

/** Throws `Foreseen` where a log is not as it was recorded, after all of them were looked at. */
export async function verify(work: Work, options: { organization?: string; json?: boolean }): Promise<void> {
  const dependencies = await work.open()
  const organizations = await findOrganizations(dependencies, options.organization ?? null)
  const reports: (ChainReport & { organization: string })[] = []
  for (const { id, slug } of organizations) {
    const report = { organization: slug, ...(await verifyChain(dependencies, id)) }
    reports.push(report)
    if (!options.json) work.print(inWords(report))
  }
  if (options.json) work.printJson(reports)
  else if (reports.length === 0) work.print('There is no organization yet, and so no audit log.')
  const broken = reports.filter(({ problems }) => problems.length > 0)
  if (broken.length === 0) return
  throw new Foreseen(
    `Not every audit log is proven to be as it was recorded: ${broken.map(({ organization }) => organization).join(', ')}. ` +
      'Where a server key is missing, name it in LATCHKEY_SECRET and verify again. Anything else was done to the database itself: ' +
      'compare with a backup, and find out who could write to it.',
  )
}

function inWords({
  organization,
  events,
  unchained,
  last,
  problems,
  furtherProblems,
}: ChainReport & { organization: string }) {
  const end = last ? `, the last at position ${last.position} (${last.id}, ${formatInstant(last.at)})` : ''
  const older = unchained > 0 ? `, and ${count(unchained, 'event')} from before the chain` : ''
  const found = onOneLine(`${organization}: ${count(events, 'event')}${end}${older}.`)
  if (problems.length === 0) return `${found} None was changed, removed or added.`
  const further = furtherProblems > 0 ? [`… and ${count(furtherProblems, 'further problem')}.`] : []
  return [found, formatTable(['POSITION', 'EVENT', 'TIME', 'PROBLEM'], problems.map(cellsOf)), ...further].join('\n')
}

function cellsOf({ position, lastPosition, id, at, problem }: ChainProblem): string[] {
  const range = lastPosition === position ? `${position ?? ''}` : `${position}–${lastPosition}`
  return [range, id ?? '', at ? at.toISOString() : '', problem]
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`
