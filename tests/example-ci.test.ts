import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

describe('npm run example:ci', () => {
  it('shows the whole way from the token to its effect, and each refusal in words that a person understands', {
    timeout: 60_000,
  }, async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      '--conditions=latchkey-source',
      'examples/ci/run.ts',
    ])
    expect(stderr).toBe('')
    const shown = stdout.split('\n').filter((line) => !/^\d\. /.test(line))
    expect(shown).toEqual([
      '   The scan was accepted.',
      expect.stringMatching(
        /^ {3}\[\{"app":"shop","commit":"4f1c2ab","findings":\[.+\],"organizationId":"org_\w+","sentBy":"Jenkins"\}\]$/,
      ),
      '   LATCHKEY_TOKEN is not set. Add the value of a CI token to this pipeline’s secrets; pipelines of forks do not see them.',
      '   (exit code 1)',
      expect.stringMatching(/^ {3}The scan service does not accept the token in LATCHKEY_TOKEN\. It may be mistyped, /),
      '   (exit code 1)',
      '   The token in LATCHKEY_TOKEN is good, but may not send scans. It takes one with the role CI Token.',
      '   (exit code 1)',
      expect.stringMatching(/^ {3}The scan service does not accept the token .* expired, disabled or deleted/),
      '   (exit code 1)',
      '   The scan was accepted.',
      '   Tokens that there are: Pipelines, Jira',
      '',
    ])
    expect(stdout).not.toMatch(/lk[ipsv]_/)
  })

  it('has a workflow for each kind of pipeline that sends a result with the token from its secrets', () => {
    for (const file of ['github-actions.yml', 'gitlab-ci.yml']) {
      const workflow = read(`examples/ci/${file}`)
      expect(workflow).toContain('./send-scan.sh scan.json')
      expect(workflow).toContain('LATCHKEY_TOKEN')
    }
  })
})
