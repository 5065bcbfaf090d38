import { createInterface } from 'node:readline'
import type { Dependencies } from '../dependencies.ts'
import { passwordProblem } from '../identity/passwords.ts'
import { findPerson } from '../identity/repository.ts'
import { emailKey } from '../identity/service.ts'
import { generatePassword } from '../organizations/bootstrap.ts'
import { OperatorError } from '../organizations/operator.ts'
import type { Questions } from './questions.ts'
import { UsageError, type Work } from './work.ts'

/** Where a new password may come from. Never from an argument, which every user of the machine could read in the process list. */
export interface PasswordOptions {
  passwordStdin?: boolean
  generatePassword?: boolean
}

export interface NewPassword {
  password: string
  /** Whether it was made here, and so has to be shown. */
  generated: boolean
}

/** A password for somebody who gets one now. Throws `UsageError` where none is given and nobody can be asked. */
export async function readNewPassword(
  { questions, input }: Work,
  { randomBytes }: Dependencies,
  { email, passwordStdin, generatePassword: generate }: PasswordOptions & { email: string },
): Promise<NewPassword> {
  if (generate) return { password: generatePassword(randomBytes), generated: true }
  if (passwordStdin) {
    if (input.isTTY) {
      throw new UsageError(
        '--password-stdin reads the password from a pipe or a file. At a terminal, leave it out: the password is asked for.',
      )
    }
    const password = await readFirstLine(input)
    if (password === '')
      throw new UsageError('Standard input is empty. With --password-stdin, its first line is the password.')
    return { password, generated: false }
  }
  const asking = questions()
  if (asking) return { password: await askNewPassword(asking, email), generated: false }
  throw new UsageError(
    `${email} needs a password, and without a terminal nobody can be asked for it: ` +
      'give --generate-password, or --password-stdin and the password on standard input.',
  )
}

/** Null for a person who is known from another organization, and needs none. Throws `OperatorError` where one is given all the same. */
export async function readMemberPassword(
  work: Work,
  dependencies: Dependencies,
  options: PasswordOptions & { email: string },
): Promise<NewPassword | null> {
  const email = emailKey(options.email)
  if (!(await findPerson(dependencies.database, email)))
    return readNewPassword(work, dependencies, { ...options, email })
  if (!options.passwordStdin) return null
  throw new OperatorError(
    `${email} is known already, from another organization, and signs in as there. Leave --password-stdin out, or change the password with “latchkey member set-password”.`,
  )
}

async function askNewPassword(asking: Questions, email: string): Promise<string> {
  for (;;) {
    const password = await asking.askHidden(`Password for ${email} (not shown)`, {
      problem: (password) => passwordProblem(password, email),
    })
    if ((await asking.askHidden('The same password again')) === password) return password
    asking.say('The two are not the same. Once more, please.')
  }
}

/** Empty where there is none. */
export async function readFirstLine(input: Work['input']): Promise<string> {
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) return line
  return ''
}
