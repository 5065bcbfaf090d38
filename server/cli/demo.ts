import { createDemo } from '../organizations/demo.ts'
import { formatTable } from './output.ts'
import type { Work } from './work.ts'

export async function demo(
  work: Work,
  { organization: slug, seed, json }: { organization: string; seed: number; json?: boolean },
): Promise<void> {
  const made = await createDemo(await work.open(), { slug, seed })
  if (json) return work.printJson(made ? { created: true, ...made } : { created: false, slug })
  if (!made) {
    work.print(`The organization ${slug} is there already, and stays as it is. Another one: --organization <slug>`)
    return
  }
  const members = formatTable(
    ['EMAIL', 'NAME', 'ROLE'],
    made.members.map(({ email, name, role }) => [email, name, role]),
  )
  work.print(`The organization ${made.name} (${slug}) is there, with ${made.tokens} tokens and ${made.events} audit events.
Each of its members signs in with the same password, which is shown this once.

  Sign in at   ${work.config.publicUrl.origin}/   (while the server runs: npm start)
  Password     ${made.password}

${members}`)
}
