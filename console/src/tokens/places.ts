/** Where a token's value goes: steps for a person, and a text to be pasted, neither with the value itself in it. */
export interface Place {
  id: string
  name: string
  steps: string
  snippet: string
}

const origin = () => globalThis.location.origin

const gitHubActions: Place = {
  id: 'github-actions',
  name: 'GitHub Actions',
  steps:
    'Set a secret of the repository: “gh” asks for the value, so that it stays out of the shell’s history. Then hand it to the step that needs it.',
  snippet: `gh secret set LATCHKEY_TOKEN

# .github/workflows/scan.yml, in the step
env:
  LATCHKEY_TOKEN: \${{ secrets.LATCHKEY_TOKEN }}`,
}

const gitLab: Place = {
  id: 'gitlab',
  name: 'GitLab CI',
  steps:
    'Add a variable under Settings › CI/CD › Variables: key LATCHKEY_TOKEN, visibility “Masked and hidden”, protected. Every job then has it.',
  snippet: `# .gitlab-ci.yml
scan:
  script:
    - ./scan --token-from-env LATCHKEY_TOKEN`,
}

const jenkins: Place = {
  id: 'jenkins',
  name: 'Jenkins',
  steps:
    'Add a credential under Manage Jenkins › Credentials: kind “Secret text”, ID latchkey-token, the value as its secret. Then bind it where it is needed.',
  snippet: `withCredentials([string(credentialsId: 'latchkey-token', variable: 'LATCHKEY_TOKEN')]) {
  sh './scan --token-from-env LATCHKEY_TOKEN'
}`,
}

const okta = (): Place => ({
  id: 'okta',
  name: 'Okta',
  steps:
    'In the application’s Provisioning tab, choose Integration › Edit, enter these, paste the value as the bearer token, and test the connection.',
  snippet: `SCIM connector base URL            ${origin()}/scim/v2
Unique identifier field for users  userName
Authentication mode                HTTP Header`,
})

const entra = (): Place => ({
  id: 'entra',
  name: 'Microsoft Entra',
  steps:
    'In the enterprise application, open Provisioning, choose Automatic, enter the Tenant URL, paste the value as the Secret Token, and test the connection.',
  snippet: `Tenant URL  ${origin()}/scim/v2`,
})

const jira: Place = {
  id: 'jira',
  name: 'Jira app',
  steps:
    'Open the app’s configuration in Jira under Apps › Manage apps, and paste the value as its token. An app that you run yourself takes it from its environment.',
  snippet: `read -rs LATCHKEY_TOKEN && export LATCHKEY_TOKEN
npm start`,
}

const program = (): Place => ({
  id: 'program',
  name: 'A program',
  steps: 'Give the value to the program as an environment variable, from wherever its secrets are kept.',
  snippet: `import { createClient, unwrap } from '@latchkey/sdk'

const latchkey = createClient({ url: '${origin()}', credential: process.env.LATCHKEY_TOKEN ?? '' })
const input = { label: 'Nightly scan', roleId: 'role_ci' }
const { secret } = unwrap((await latchkey.createToken({ input })).createToken)`,
})

/** The likeliest first. */
export function placesOf(roleId: string): Place[] {
  if (roleId === 'role_scim') return [okta(), entra()]
  if (roleId === 'role_jira') return [jira]
  if (roleId === 'role_service_account') return [program(), gitHubActions, gitLab, jenkins]
  return [gitHubActions, gitLab, jenkins]
}
