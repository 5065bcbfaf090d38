import { type KeyUse, readKeyUse } from '../identity/key-use.ts'
import { formatTable } from './output.ts'
import type { Work } from './work.ts'

export async function status(work: Work, { json }: { json?: boolean }): Promise<void> {
  const uses = await readKeyUse(await work.open())
  if (json) return work.printJson(uses)
  work.print(
    formatTable(
      [
        'KEY',
        'IN LATCHKEY_SECRET',
        'INTEGRATION TOKENS',
        'ACCESS TOKENS',
        'SESSIONS',
        'SERVICES',
        'WEBHOOKS',
        'INVITATIONS',
        'PASSWORDS',
      ],
      uses.map((use) => [use.keyId ?? 'unknown', standings[use.standing], ...countsOf(use).map(String)]),
    ),
  )
  for (const use of uses) {
    const advice = adviceOn(use)
    if (advice) work.print(advice)
  }
}

const countsOf = ({
  integrationTokens,
  accessTokens,
  sessions,
  services,
  webhooks,
  invitations,
  passwords,
}: KeyUse) => [integrationTokens, accessTokens, sessions, services, webhooks, invitations, passwords]

const standings: Record<KeyUse['standing'], string> = {
  current: 'first',
  former: 'after it',
  unnamed: 'not named',
  unknown: '',
}

function adviceOn(use: KeyUse): string | null {
  const { keyId, standing } = use
  const all = countsOf(use).reduce((sum, count) => sum + count, 0)
  switch (standing) {
    case 'former':
      if (all > 0)
        return `What depends on the key ${keyId} moves to the first one when it is used next; invitations are good for 7 days. Keep naming it.`
      return (
        `Nothing depends on the key ${keyId} any more, and it need not be named. Keep it in a safe place: ` +
        '“latchkey audit verify” needs it for the events that were recorded under it.'
      )
    case 'unnamed':
      return `What depends on the key ${keyId} is refused. Name the key again, after the first one, if that is not meant.`
    case 'unknown':
      return 'Of the passwords whose key is not known, each is taken up by the first key at its person’s next sign-in.'
    case 'current':
      return null
  }
}
