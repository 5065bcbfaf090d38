import { Command, InvalidArgumentError, Option } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import type { AddOptions, MemberOptions } from './members.ts'
import type { CreateOptions, DomainOptions } from './organizations.ts'
import type { PasswordOptions } from './passwords.ts'
import type { Terminal, Work } from './work.ts'

export interface ProgramOptions {
  terminal: Pick<Terminal, 'output' | 'errors'>
  /** Runs a command with what it works with, which is opened for it alone: help opens nothing. */
  run(command: (work: Work) => Promise<void>, options?: { serverKey?: 'unused' }): Promise<void>
  serve(): Promise<void>
}

/** Every command with its help. What a command does is loaded when it is called, so that help is quick. */
export function createProgram({ terminal, run, serve }: ProgramOptions): Command {
  const program = new Command('latchkey')
  program
    .description('Latchkey issues, manages and verifies integration tokens.')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({
      writeOut: (text) => terminal.output.write(text),
      writeErr: (text) => terminal.errors.write(text),
      outputError: (text, write) => write(inWords(text)),
    })
    .exitOverride()
    .addHelpText(
      'after',
      `
The commands work on the database that the server works on, also beside a running one: the PostgreSQL at
DATABASE_URL, with the server key in LATCHKEY_SECRET, or else the one that Latchkey keeps in DATA_DIRECTORY
(.data in the project). All settings are environment variables; README.md lists them.

What is missing is asked for at a terminal. In a script, --json gives what scripts read, and the exit code is
0 for success, 1 for a failure and 2 for a command that was not understood.

Examples:
  latchkey serve
  latchkey organization create --name "Acme" --owner-email admin@acme.example
  latchkey service add scanner --json`,
    )

  leaf(program.command('serve'), 'start the server, as npm start does', [
    'Serves until Ctrl-C, SIGINT or SIGTERM, and then finishes what is under way. Prints at the first start how to',
    'sign in. HOST and PORT say where it listens.',
  ])
    .addHelpText('after', examples('latchkey serve', 'PORT=8080 latchkey serve'))
    .action(() => serve())

  leaf(program.command('migrate'), 'bring the database up to date', [
    'Makes the tables of this version, and prints what was applied. The server does the same at its start; apart from',
    'it, this is for a database whose server signs in with a login that may create nothing. The login in DATABASE_URL',
    'has to own the database and be able to create roles. Afterwards, grant the roles latchkey_server and',
    'latchkey_lookup to the login that serves.',
  ])
    .addHelpText(
      'after',
      examples('latchkey migrate', 'DATABASE_URL=postgres://admin@db.example/latchkey latchkey migrate'),
    )
    .action(() => run(async (work) => (await import('./migrate.ts')).migrate(work), { serverKey: 'unused' }))

  addOrganizationCommands(
    program.command('organization').summary('create and list organizations, and confirm their domains'),
    run,
  )
  addMemberCommands(program.command('member').summary('add, list and deactivate members, and set their passwords'), run)
  addServiceCommands(program.command('service').summary('register the programs that verify tokens'), run)
  addSecretCommands(program.command('secret').summary('follow a rotation of the server key'), run)
  addAuditCommands(program.command('audit').summary('prove that the audit log is as it was recorded'), run)

  leaf(program.command('whoami'), 'say what a credential is, for whom, and until when', [
    'Asks the Latchkey at LATCHKEY_URL about the credential in LATCHKEY_TOKEN, or else on standard input: a token, a',
    'member’s access token, or a service’s secret. For a pipeline, before it relies on it.',
  ])
    .option(
      '--url <address>',
      'the Latchkey to ask, instead of LATCHKEY_URL; PUBLIC_URL, or this machine’s, if neither is given',
    )
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'latchkey whoami --json < token.txt',
        'LATCHKEY_TOKEN=… latchkey whoami --url https://latchkey.example.com',
      ),
    )
    .action((options: { url?: string; json?: boolean }) =>
      run(async (work) => (await import('./whoami.ts')).whoami(work, options), { serverKey: 'unused' }),
    )

  leaf(program.command('demo'), 'fill an organization with believable tokens', [
    'Makes an organization with members of every role, a few hundred tokens in every state, and the year of audit',
    'events behind them, to try the console and the API with. Prints how to sign in. An organization that is there',
    'already stays as it is.',
  ])
    .option('--organization <slug>', 'the slug of the organization to make', 'acme-robotics')
    .addOption(
      new Option('--seed <number>', 'another seed tells another story').default(1).argParser((text) => {
        if (/^\d{1,9}$/.test(text)) return Number(text)
        throw new InvalidArgumentError('It is a whole number from 0 to 999999999.')
      }),
    )
    .addOption(json())
    .addHelpText('after', examples('latchkey demo', 'latchkey demo --organization globex --seed 7'))
    .action((options: { organization: string; seed: number; json?: boolean }) =>
      run(async (work) => (await import('./demo.ts')).demo(work, options)),
    )
  return program
}

function addOrganizationCommands(organization: Command, run: ProgramOptions['run']): void {
  organization.description('Organizations are the customers of the platform; tokens belong to them.')
  const create = leaf(organization.command('create'), 'make an organization with its owner', [
    'Makes an organization and its one owner. A person who is known from another organization needs no password.',
  ])
  create
    .option('--name <name>', 'what people call it')
    .option('--slug <slug>', 'its name in addresses; made from the name if left out')
    .option('--owner-email <address>', 'whom it belongs to')
    .option('--owner-name <name>', 'what the owner is called; made from the address if left out')
  addPasswordOptions(create)
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'latchkey organization create --name "Acme" --owner-email admin@acme.example',
        'latchkey organization create --name "Acme" --owner-email admin@acme.example --generate-password --json',
      ),
    )
    .action((options: CreateOptions) => run(async (work) => (await import('./organizations.ts')).create(work, options)))

  leaf(organization.command('list'), 'list every organization', ['Lists every organization with its owner.'])
    .addOption(json())
    .addHelpText('after', examples('latchkey organization list', 'latchkey organization list --json'))
    .action((options: { json?: boolean }) =>
      run(async (work) => (await import('./organizations.ts')).list(work, options)),
    )

  leaf(organization.command('add-domain'), 'confirm that a domain is an organization’s', [
    'Says that every email address of the domain is the organization’s to give. Whoever its admins then invite at one, and has',
    'no password yet, chooses it by the invitation, and signs in with it wherever they are a member. Find out first that the',
    'domain is theirs alone; never add one at which others have addresses too, such as an email provider’s.',
  ])
    .option('--organization <slug>', 'the organization')
    .option('--domain <domain>', 'what follows the @ in its addresses')
    .addHelpText('after', examples('latchkey organization add-domain --organization acme --domain acme.example'))
    .action((options: DomainOptions) =>
      run(async (work) => (await import('./organizations.ts')).addDomain(work, options)),
    )

  leaf(organization.command('remove-domain'), 'take a domain back', [
    'From then on, an invitation to one of its addresses is accepted with a password that its person has already, and not',
    'with a first one. Passwords that were chosen stay.',
  ])
    .option('--organization <slug>', 'the organization')
    .option('--domain <domain>', 'as “latchkey organization list” shows it')
    .addHelpText('after', examples('latchkey organization remove-domain --organization acme --domain acme.example'))
    .action((options: DomainOptions) =>
      run(async (work) => (await import('./organizations.ts')).removeDomain(work, options)),
    )
}

function addMemberCommands(member: Command, run: ProgramOptions['run']): void {
  member.description('Members are the people in an organization. One person can be a member of several.')
  const add = leaf(member.command('add'), 'add a member to an organization', [
    'Adds a person, new or known from another organization, where they sign in as before and need no password.',
  ])
  add
    .option('--organization <slug>', 'the organization')
    .option('--email <address>', 'with which they sign in')
    .option('--name <name>', 'what they are called; made from the address if left out')
    .option('--role <role>', 'SUPER_ADMIN, POWER_USER, MEMBER or GUEST')
  addPasswordOptions(add)
    .addOption(json())
    .addHelpText(
      'after',
      `
Roles:
  SUPER_ADMIN   manages tokens, and reads the audit log
  POWER_USER    reads the organization and its members; as a service sees it, may also write scans
  MEMBER        reads the organization and its members; as a service sees it, may also comment on findings
  GUEST         reads the organization’s name
The owner comes with the organization.
${examples(
  'latchkey member add --organization acme --email dev@acme.example --role POWER_USER',
  'latchkey member add --organization acme --email dev@acme.example --role MEMBER --generate-password --json',
  'latchkey member add --organization acme --email dev@acme.example --role GUEST --password-stdin < password.txt',
)}`,
    )
    .action((options: AddOptions) => run(async (work) => (await import('./members.ts')).add(work, options)))

  leaf(member.command('list'), 'list the members of an organization', [
    'Lists the members of an organization with their roles.',
  ])
    .option('--organization <slug>', 'the organization')
    .addOption(json())
    .addHelpText('after', examples('latchkey member list --organization acme'))
    .action((options: { organization?: string; json?: boolean }) =>
      run(async (work) => (await import('./members.ts')).list(work, options)),
    )

  const setPassword = leaf(member.command('set-password'), 'set a person’s password', [
    'Sets a new password for a person, in every organization that they are a member of, and ends every session of',
    'theirs. Also lets in who had guessed wrong too often.',
  ])
  addPasswordOptions(setPassword.option('--email <address>', 'with which they sign in'))
    .addHelpText(
      'after',
      examples(
        'latchkey member set-password --email dev@acme.example',
        'latchkey member set-password --email dev@acme.example --password-stdin < password.txt',
      ),
    )
    .action((options: PasswordOptions & { email?: string }) =>
      run(async (work) => (await import('./members.ts')).setPassword(work, options)),
    )

  leaf(member.command('deactivate'), 'shut a member out of an organization', [
    'Ends every session of the member in the organization and refuses their access token, from this moment on and on',
    'every instance. The integration tokens that they made are the organization’s, and stay.',
  ])
    .option('--organization <slug>', 'the organization')
    .option('--email <address>', 'with which they sign in')
    .addHelpText('after', examples('latchkey member deactivate --organization acme --email dev@acme.example'))
    .action((options: MemberOptions) => run(async (work) => (await import('./members.ts')).deactivate(work, options)))

  leaf(member.command('activate'), 'let a deactivated member in again', [
    'Lets the member sign in again, with the password and the access token that they had.',
  ])
    .option('--organization <slug>', 'the organization')
    .option('--email <address>', 'with which they sign in')
    .addHelpText('after', examples('latchkey member activate --organization acme --email dev@acme.example'))
    .action((options: MemberOptions) => run(async (work) => (await import('./members.ts')).activate(work, options)))
}

function addServiceCommands(service: Command, run: ProgramOptions['run']): void {
  service.description(
    'Services are the platform’s own programs. A registered one may verify tokens of every organization.',
  )
  leaf(service.command('add'), 'register a service, and print its secret', [
    'Registers a program that verifies tokens, and prints its secret, which is shown this once.',
  ])
    .argument('[name]', 'such as scanner')
    .addOption(json())
    .addHelpText('after', examples('latchkey service add scanner', 'latchkey service add scanner --json'))
    .action((name: string | undefined, options: { json?: boolean }) =>
      run(async (work) => (await import('./services.ts')).add(work, name, options)),
    )

  leaf(service.command('list'), 'list the registered services', [
    'Lists the registered services, with the last four characters of their secrets and when these were last used.',
  ])
    .addOption(json())
    .addHelpText('after', examples('latchkey service list', 'latchkey service list --json'))
    .action((options: { json?: boolean }) => run(async (work) => (await import('./services.ts')).list(work, options)))

  leaf(service.command('remove'), 'remove a service; its secret is refused at once', [
    'Removes a service. Every instance refuses its secret from that moment on.',
  ])
    .argument('[name]', 'as “latchkey service list” shows it')
    .addHelpText('after', examples('latchkey service remove scanner'))
    .action((name: string | undefined) => run(async (work) => (await import('./services.ts')).remove(work, name)))
}

function addSecretCommands(secret: Command, run: ProgramOptions['run']): void {
  secret.description('The server key is in LATCHKEY_SECRET, with former ones after it while it is being rotated.')
  leaf(secret.command('status'), 'count what depends on which server key', [
    'Counts the secrets and passwords that depend on each server key, by the ids of the keys, and says which keys',
    'LATCHKEY_SECRET names. What is used moves to the first key by itself. Once nothing depends on a former key, it can',
    'be left out; what depends on a key that is not named is refused.',
  ])
    .addOption(json())
    .addHelpText('after', examples('latchkey secret status', 'latchkey secret status --json'))
    .action((options: { json?: boolean }) => run(async (work) => (await import('./secret.ts')).status(work, options)))
}

function addAuditCommands(audit: Command, run: ProgramOptions['run']): void {
  audit.description('The audit log of each organization is a chain, in which every event holds the one before it.')
  leaf(audit.command('verify'), 'find events that were changed or removed', [
    'Walks the audit log of every organization and names what was changed, removed or added since it was recorded, also',
    'by whoever can write to the database. Ends with code 1 if there is anything. It needs every server key under which',
    'events were recorded, and tells which is missing. What it cannot find: that a log was put back to an earlier',
    'state as a whole. So it says how far each log reaches: that position never becomes smaller.',
  ])
    .option('--organization <slug>', 'only the log of this organization')
    .addOption(json())
    .addHelpText(
      'after',
      examples('latchkey audit verify', 'latchkey audit verify --organization acme', 'latchkey audit verify --json'),
    )
    .action((options: { organization?: string; json?: boolean }) =>
      run(async (work) => (await import('./audit.ts')).verify(work, options)),
    )
}

function leaf(command: Command, summary: string, description: string[]): Command {
  return command.summary(summary).description(description.join(' '))
}

function addPasswordOptions(command: Command): Command {
  return command
    .addOption(new Option('--generate-password', 'make a password, and print it once').conflicts('passwordStdin'))
    .option('--password-stdin', 'take the password from the first line of standard input')
}

const json = () => new Option('--json', 'print JSON, for scripts')

function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

/** The value of an option that is not known could be a password, so it is left out of what is said. */
function inWords(text: string): string {
  const plain = text.replace(/^error: /, '').replace(/^(unknown option '--?[\w-]+)=[^\n]*'/, "$1'")
  const sentence = plain.charAt(0).toUpperCase() + plain.slice(1)
  return sentence.replace(/([^.)?\n])\n/, '$1.\n')
}
