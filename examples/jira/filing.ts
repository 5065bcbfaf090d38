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

  /** True where it said so in the issue. */
  async function settle(issue: FiledIssue, scans: LatestScans): Promise<boolean> {
    const { key, done, finding } = issue
    const scan = scans.get(finding.app)
    if (!scan) return false
    const found = scan.findings.get(nameOf(finding))
    if (found && linesOf(found) !== linesOf(finding)) {
      await jira.rewrite(issue, found)
      log(`${key} was updated: now on ${linesOf(found)}.`)
    }
    if (Boolean(found) !== done) return false
    const [where, what] = found ? (['open', 'opened again'] as const) : (['done', 'closed'] as const)
    if (!(await jira.move(issue, where))) {
      log(`${key} cannot be ${what}: its workflow has no transition for that which the app’s account may make.`)
      return false
    }
    await jira.comment(key, stateOf(finding, scans))
    log(`${key} was ${what}. ${stateOf(finding, scans)}`)
    return true
  }

  /** What Jira refuses for one issue does not hold up the others, and would be refused again. */
  async function tellRefusal<Result>(work: () => Promise<Result>): Promise<Result | null> {
    return work().catch((error: unknown) => {
      if (!(error instanceof JiraError) || ![400, 403, 404, 409].includes(error.status)) throw error
      log(error.message)
      return null
    })
  }

  return {
    /** Settles all that is filed, and files what is not. */
    sync: () =>
      inTurn(async () => {
        const scans = await readLatestScans()
        const issues = await jira.filedIssues()
        for (const issue of issues) await tellRefusal(() => settle(issue, scans))
        const filed = new Set(issues.map(({ finding }) => nameOf(finding)))
        for (const finding of [...scans.values()].flatMap(({ findings }) => [...findings.values()])) {
          if (filed.has(nameOf(finding))) continue
          const key = await tellRefusal(() => jira.file(finding))
          if (key) log(`${key} was filed: ${finding.rule}, ${finding.file}.`)
        }
      }),

    /** For an issue that somebody changed: one that was closed too early is opened again. */
    issueChanged: (key: string) =>
      inTurn(async () => {
        const issue = await jira.findIssue(key)
        if (!issue?.done) return
        const scans = await readLatestScans()
        await tellRefusal(() => settle(issue, scans))
      }),

    /** For a comment: “recheck” is answered. A slash before it is allowed, as chat commands have it. */
    commented: (key: string, commentId: string) =>
      inTurn(async () => {
        const text = await jira.findCommentOfOthers(key, commentId)
        if (!/^\s*\/?recheck\s*$/i.test(text ?? '')) return
        const issue = await jira.findIssue(key)
        if (!issue) return
        const scans = await readLatestScans()
        if (await tellRefusal(() => settle(issue, scans))) return
        await jira.comment(key, stateOf(issue.finding, scans))
        log(`${key} was answered. ${stateOf(issue.finding, scans)}`)
      }),
  }
}

function stateOf(finding: Finding, scans: LatestScans): string {
  const scan = scans.get(finding.app)
  if (!scan) return `No scan of ${finding.app} is known, so nothing can be said.`
  const found = scan.findings.get(nameOf(finding))
  const [state, where] = found ? ['Found', `${finding.file}, ${linesOf(found)}`] : ['Not found', finding.file]
  return `${state} in ${where}, by the latest scan, of commit ${scan.commit}.`
}
