/**
 * The Jira app by itself: takes webhooks, and synchronizes at its start and every ten minutes.
 *
 *   LATCHKEY_TOKEN=… JIRA_API_TOKEN=… JIRA_WEBHOOK_SECRET=… SCAN_SERVICE_URL=https://scans.example.com \
 *   JIRA_URL=https://example.atlassian.net JIRA_EMAIL=… JIRA_PROJECT=SEC node main.ts
 */
import { setTimeout as wait } from 'node:timers/promises'
import { createJiraApp } from './jira-app.ts'

const { HOST = '127.0.0.1', PORT = '4100', JIRA_ISSUE_TYPE = 'Task', ...environment } = process.env
const missing: string[] = []
const setting = (name: string) => {
  const value = environment[name]?.trim()
  if (!value) missing.push(name)
  return value ?? ''
}
const address = (name: string) => setting(name).replace(/\/+$/, '')
// What a scan or Jira says cannot begin a line of its own.
const log = (line: string) => process.stdout.write(`${line.replace(/\s+/g, ' ')}\n`)

const settings = {
  scanServiceUrl: address('SCAN_SERVICE_URL'),
  latchkeyToken: setting('LATCHKEY_TOKEN'),
  jiraUrl: address('JIRA_URL'),
  jiraEmail: setting('JIRA_EMAIL'),
  jiraApiToken: setting('JIRA_API_TOKEN'),
  projectKey: setting('JIRA_PROJECT'),
  webhookSecret: setting('JIRA_WEBHOOK_SECRET'),
  issueType: JIRA_ISSUE_TYPE,
}
if (missing.length > 0) {
  process.stderr.write(`Set ${missing.join(', ')}: docs/jira.md says where each value comes from.\n`)
  process.exit(2)
}

const { app, sync } = createJiraApp({ ...settings, fetch, wait, log })
const server = app.listen(Number(PORT), HOST, (error) => {
  if (error) throw error
  const bound = server.address()
  log(`Takes Jira’s webhooks at ${HOST}, port ${typeof bound === 'object' && bound?.port}, path /jira/webhook`)
})
for (;;) {
  await sync().catch((error: unknown) => log(error instanceof Error ? error.message : 'It failed.'))
  await wait(600_000)
}
