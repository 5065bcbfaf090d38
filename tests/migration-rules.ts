/**
 * Whether the version before can run on the tables that a migration leaves behind, while it is applied and afterwards.
 *
 * This is no parser of SQL: statements are told apart by their semicolons and known by patterns, and one that no pattern
 * knows is refused until someone has thought about it. What it does not see is what a function, a trigger or a policy
 * does, nor what is meant by a value. `npm run test:upgrade`, which runs the version before, sees more.
 */
export interface Refused {
  /** In one line, in lower case, without comments, with nothing in its strings and its function bodies. */
  statement: string
  reason: string
}

/** What a migration has made itself, which the version before knows nothing of. */
interface Made {
  tables: Set<string>
  /** As `table.column`: those that are null wherever the version before wrote the row. */
  nullableColumns: Set<string>
  /** Whatever the version before writes, these have a default or are null. */
  columns: Set<string>
  constraints: Set<string>
  /** Tables whose owner is not bound by row-level security for the rest of the migration, or until it says so. */
  unforced: Set<string>
}

/** Null where the version before can run beside it. */
type Judgement = string | null

const unknown =
  'No rule knows this statement. If the version before can run beside it, teach tests/migration-rules.ts the pattern.'
const oneStep = 'Add the new beside it, fill it, and drop the old one a version later.'
const buildsIndex =
  'An index keeps writers out of an existing table for as long as it is built, and a migration cannot make it ' +
  'concurrently. Say “create index if not exists”, so that whoever has a large table can make it concurrently before.'
const scansTable =
  'A constraint on an existing table keeps writers out for as long as every row is checked. Add it “not valid”, and ' +
  'validate it in a version after this one: all migrations that are missing are applied in one transaction.'
const keepsEveryoneOut =
  'Nobody can use the table until all of its rows are written, since all of it is one transaction. Let the server fill ' +
  'it, a few rows at a time or as it uses them.'
/** They have few rows, however large a database is: for those, and for those alone, that takes no time. */
const smallTables = new Set(['organizations', 'services', 'token_roles'])
const refusesOldRows = 'The version before knows nothing of it, and writes rows that it would refuse.'

/** Every statement of the migration that the version before could not run beside. */
export function refusedIn(migration: string): Refused[] {
  const statements = statementsOf(migration)
  const made: Made = {
    tables: new Set(),
    nullableColumns: new Set(),
    columns: new Set(),
    constraints: new Set(),
    unforced: new Set(),
  }
  const refused = statements.flatMap((statement) => {
    const reasons = judge(statement, made).filter((reason) => reason !== null)
    return [...new Set(reasons)].map((reason) => ({ statement, reason }))
  })
  for (const table of made.unforced) {
    const reason = 'Row-level security has to be forced again in the same migration.'
    refused.push({ statement: `alter table ${table} no force row level security`, reason })
  }
  return refused
}

const opaque = /--[^\n]*|\/\*[\s\S]*?\*\/|\$(\w*)\$[\s\S]*?\$\1\$|'(?:[^']|'')*'|"((?:[^"]|"")*)"/g

export function statementsOf(migration: string): string[] {
  return migration
    .replaceAll(opaque, (text, _tag, identifier: string | undefined) => {
      if (identifier !== undefined) return identifier
      return text.startsWith("'") ? "''" : text.startsWith('$') ? '$$' : ' '
    })
    .split(';')
    .map((statement) => statement.replaceAll(/\s+/g, ' ').trim().toLowerCase())
    .filter(Boolean)
}

const table = String.raw`(?:if exists )?(?:only )?(?:public\.)?(?<table>\w+)`

/** The first that fits decides. */
const kinds: [pattern: RegExp, judge: (found: Record<string, string>, made: Made) => Judgement | Judgement[]][] = [
  [
    /^create table (?:if not exists )?(?:public\.)?(?<table>\w+)/,
    ({ table = '' }, { tables }) => {
      tables.add(table)
      return null
    },
  ],
  [
    new RegExp(`^alter table ${table} (?<actions>.+)$`),
    ({ table = '', actions = '' }, made) => splitAtCommas(actions).map((action) => judgeAction(action, table, made)),
  ],
  [
    new RegExp(
      String.raw`^create (?<unique>unique )?index (?<concurrently>concurrently )?(?<tolerant>if not exists )?\w+ on ${table}(?: using \w+)? ?\((?<columns>.+)$`,
    ),
    judgeIndex,
  ],
  [/^create policy .* as restrictive\b/, () => 'It takes rows away from the version before.'],
  [/^create or replace /, () => 'It changes what the version before calls. Make another one beside it.'],
  [/^create (?:function|procedure|trigger|constraint trigger|policy|type|domain|sequence|view|extension) /, () => null],
  [/^(?:grant|insert into|comment on|set local) /, () => null],
  [new RegExp(`^update ${table} (?<rest>.+)$`), judgeUpdate],
  [
    new RegExp(`^(?:delete from|truncate(?: table)?) ${table}`),
    ({ table = '' }, { tables }) => (tables.has(table) ? null : 'The version before may still read these rows.'),
  ],
  [
    /^revoke .* on (?:table )?(?:public\.)?(?<table>\w+) from /,
    ({ table = '' }, { tables }) => (tables.has(table) ? null : 'The version before may do with it what it does now.'),
  ],
  [/^alter .* rename /, () => `The version before knows it by its old name. ${oneStep}`],
  [/^drop /, () => `The version before may still use it. ${oneStep}`],
  [/^do /, () => 'What it does cannot be seen from outside. Write the statements themselves.'],
]

/** What refers to a row keeps it from being deleted, unless it goes with it. No version deletes an organization. */
function judgeReferences(statement: string, { tables }: Made): Judgement {
  const references = statement.matchAll(/\breferences (?:public\.)?(?<table>\w+)(?<rest>(?: ?\([^)]*\))?[^,]*)/g)
  const keepsRows = [...references].some(({ groups: { table = '', rest = '' } = {} }) => {
    return table !== 'organizations' && !tables.has(table) && !/\bon delete (?:cascade|set null)\b/.test(rest)
  })
  return keepsRows
    ? 'The version before may delete what it refers to. Say “on delete cascade” or “on delete set null”.'
    : null
}

function judge(statement: string, made: Made): Judgement[] {
  for (const [pattern, judgeKind] of kinds) {
    const found = pattern.exec(statement)
    if (found) return [judgeKind(found.groups ?? {}, made), judgeReferences(statement, made)].flat()
  }
  return [unknown]
}

/** One of those that an ALTER TABLE has, parted by commas. */
const actions: [pattern: RegExp, judge: (found: Record<string, string>, table: string, made: Made) => Judgement][] = [
  [/^add constraint (?<name>\w+) (?<what>.+)$/, judgeConstraint],
  [/^add (?<what>(?:unique|primary key|check|foreign key|exclude)\b.+)$/, judgeConstraint],
  [/^add (?:column )?(?:if not exists )?(?<column>\w+) (?<what>.+)$/, judgeColumn],
  [
    /^validate constraint (?<name>\w+)$/,
    ({ name = '' }, _table, { constraints }) => (constraints.has(name) ? scansTable : null),
  ],
  [/^alter (?:column )?\w+ (?:set default|set statistics|set storage)\b/, () => null],
  [/^set \(/, () => null],
  [
    /^no force row level security$/,
    (_found, table, { unforced }) => {
      unforced.add(table)
      return null
    },
  ],
  [
    /^force row level security$/,
    (_found, table, { unforced }) => (unforced.delete(table) ? null : 'The version before may not be bound by it yet.'),
  ],
  [/^enable row level security$/, () => 'It takes rows away from the version before.'],
  [/^rename /, () => `The version before knows it by its old name. ${oneStep}`],
  [/^drop (?:column )?(?!constraint)/, () => `The version before still reads and writes it. ${oneStep}`],
  [/^drop constraint /, () => 'The version before may count on what it excludes.'],
  [/^alter (?:column )?\w+ (?:set data )?type /, () => `The version before reads and writes it as it was. ${oneStep}`],
  [/^alter (?:column )?\w+ set not null$/, () => 'The version before may still leave it out.'],
  [/^alter (?:column )?\w+ drop default$/, () => 'The version before may still leave it out.'],
  [/^alter (?:column )?\w+ drop not null$/, () => 'The version before does not expect that it is missing.'],
]

function judgeAction(action: string, table: string, made: Made): Judgement {
  if (made.tables.has(table)) return null
  for (const [pattern, judgeKind] of actions) {
    const found = pattern.exec(action)
    if (found) return judgeKind(found.groups ?? {}, table, made)
  }
  return unknown
}

const constant =
  /\bdefault (?:''|-?[\d.]+|true|false|null|now\(\)|current_timestamp)(?:::[\w ]+(?:\[\])?)?(?= not null| references|$)/

function judgeColumn({ column = '', what = '' }: Record<string, string>, table: string, made: Made): Judgement {
  const hasDefault = /\bdefault\b/.test(what)
  if (/\bnot null\b/.test(what) && !hasDefault) return 'The version before adds rows without it. Give it a default.'
  if (/\bgenerated\b/.test(what) || (hasDefault && !constant.test(what)))
    return 'A value that is computed for each row keeps everyone out of the table for as long as that takes. Add the column without it.'
  if (/\b(?:unique|primary key)\b/.test(what)) return buildsIndex
  if (/\bcheck\b/.test(what)) return scansTable
  made.columns.add(`${table}.${column}`)
  if (!hasDefault) made.nullableColumns.add(`${table}.${column}`)
  return null
}

function judgeConstraint({ name, what = '' }: Record<string, string>, table: string, made: Made): Judgement {
  if (name !== undefined) made.constraints.add(name)
  if (/^(?:unique|primary key) using index /.test(what)) return null
  if (/^(?:unique|primary key|exclude)\b/.test(what)) return buildsIndex
  const column = /^check \((?<column>\w+) in \([^()]*\)\)/.exec(what)?.groups?.column
  const isOfNewColumn = column !== undefined && made.columns.has(`${table}.${column}`)
  const referring = splitAtCommas(/^foreign key ?\((?<columns>[^()]*)\)/.exec(what)?.groups?.columns ?? '')
  const isMissingInOldRows = referring.some((one) => made.nullableColumns.has(`${table}.${one}`))
  if (!isOfNewColumn && !isMissingInOldRows) return refusesOldRows
  return what.endsWith(' not valid') ? null : scansTable
}

function judgeIndex(found: Record<string, string>, made: Made): Judgement {
  const { unique, concurrently, tolerant, table = '', columns = '' } = found
  if (concurrently) return 'Migrations run in a transaction, in which no index is made concurrently.'
  if (made.tables.has(table)) return null
  const isMissingInOldRows = splitAtCommas(columns).some((one) =>
    made.nullableColumns.has(`${table}.${one.replace(/\).*/, '')}`),
  )
  if (unique && (!isMissingInOldRows || /nulls not distinct/.test(columns))) return refusesOldRows
  return tolerant ? null : buildsIndex
}

function judgeUpdate({ table = '', rest = '' }: Record<string, string>, made: Made): Judgement {
  if (made.tables.has(table)) return null
  const set = [...rest.matchAll(/(?:\bset|,) (\w+) =/g)].map(([, column = '']) => column)
  const isNew = (column: string) => made.columns.has(`${table}.${column}`)
  if (set.length === 0 || !set.every(isNew)) return 'The version before reads this, and may mean something else by it.'
  return smallTables.has(table) ? null : keepsEveryoneOut
}

/** At those that stand between no parentheses. */
function splitAtCommas(text: string): string[] {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '(') depth++
    if (character === ')') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts.push(`${parts.pop() ?? ''}${character}`)
  }
  return parts.map((part) => part.trim()).filter(Boolean)
}
