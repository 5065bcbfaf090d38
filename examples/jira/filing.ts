import { type Finding, type LatestScans, nameOf } from './findings.ts'
import { type FiledIssue, type Jira, JiraError, linesOf } from './jira-client.ts'

/**
 * Keeps issues in line with findings. All of it starts from what Jira and the scan service say at that moment, so that doing it
 * again changes nothing, after a restart as well. Only one thing is done at a time, or two of them could file the same finding.
 */
export function createFiling(jira: Jira, readLatestScans: () => Promise<LatestScans>, log: (line: string) => void) {
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }

  async function settle(issue: FiledIssue, scans: LatestScans): Promise<void> {
    const { key, done, finding } = issue
    const scan = scans.get(finding.app)
    if (!scan) return
    const found = scan.findings.get(nameOf(finding))
    if (found && linesOf(found) !== linesOf(finding)) {
      await jira.rewrite(issue, found)
      log(`${key} was updated: now on ${linesOf(found)}.`)
    }
    if (Boolean(found) !== done) return
    const [where, what] = found ? (['open', 'opened again'] as const) : (['done', 'closed'] as const)
    if (await jira.move(issue, where)) {
      await jira.comment(key, stateOf(finding, scans))
      log(`${key} was ${what}: ${stateOf(finding, scans)}`)
    } else {
      log(`${key} cannot be ${what}: its workflow has no transition for that which the app’s account may make.`)
    }
  }

  return {
    /** Files what is not filed, and settles all that is. What Jira refuses for one issue does not hold up the others. */
    sync: () =>
      inTurn(async () => {
        const scans = await readLatestScans()
        const issues = await jira.filedIssues()
        for (const issue of issues) await eachByItself(() => settle(issue, scans))
        const filed = new Set(issues.map(({ finding }) => nameOf(finding)))
        for (const finding of [...scans.values()].flatMap(({ findings }) => [...findings.values()])) {
          if (filed.has(nameOf(finding))) continue
          await eachByItself(async () =>
            log(`${await jira.file(finding)} was filed: ${finding.rule}, ${finding.file}.`),
          )
        }
      }),

    /** For an issue that somebody changed: one that was closed too early is opened again. */
    issueChanged: (key: string) =>
      inTurn(async () => {
        const issue = await jira.findIssue(key)
        if (issue?.done) await settle(issue, await readLatestScans())
      }),

    /** For a comment: “recheck” is answered. A slash before it is allowed, as chat commands have it. */
    commented: (key: string, commentId: string) =>
      inTurn(async () => {
        const text = await jira.findCommentOfOthers(key, commentId)
        if (!/^\s*\/?recheck\s*$/i.test(text ?? '')) return
        const issue = await jira.findIssue(key)
        if (!issue) return
        const scans = await readLatestScans()
        await jira.comment(key, stateOf(issue.finding, scans))
        log(`${key} was answered: ${stateOf(issue.finding, scans)}`)
        await settle(issue, scans)
      }),
  }

  async function eachByItself(work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => {
      if (!(error instanceof JiraError) || ![400, 403, 404, 409].includes(error.status)) throw error
      log(error.message)
    })
  }
}

function stateOf(finding: Finding, scans: LatestScans): string {
  const scan = scans.get(finding.app)
  if (!scan) return `No scan of ${finding.app} is known, so nothing can be said.`
  const found = scan.findings.get(nameOf(finding))
  const [state, where] = found
    ? ['Still found', `${finding.file}, ${linesOf(found)}`]
    : ['No longer found', finding.file]
  return `${state} in ${where}, by the latest scan, of commit ${scan.commit}.`
}
