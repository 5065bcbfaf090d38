import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { startEmbeddedDatabase } from '../server/database/embedded.ts'
import { migrateDatabase } from '../server/database/migrate.ts'
import { type Database, openDatabase } from '../server/database/pool.ts'
import type { LookupPool } from '../server/identity/credential-lookup.ts'
import { statementOf } from '../server/identity/credential-rows.ts'
import { createMetrics } from '../server/observability/metrics.ts'

/** A second PostgreSQL, which holds the upper half of the digests of integration tokens. */
export interface SecondServer extends AsyncDisposable {
  database: Database
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
}

/** Digests from here on are the second server's. */
const middle = `'\\x80'`

/**
 * Moves the upper half of the digest space of a migrated database, in which there are no tokens yet, to a second server.
 * What is here and not in the migrations is what the layout takes; docs/scale.md has the reasons.
 */
export async function splitDigests(databaseUrl: string): Promise<SecondServer> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-second-'))
  const postgres = await startEmbeddedDatabase({ directory, announce: () => undefined })
  await migrateDatabase(postgres.url)
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 })
  pool.on('error', () => undefined)
  await pool.query(onSecondServer)
  const first = new pg.Client({ connectionString: databaseUrl })
  await first.connect()
  await first.query(onFirstServer(new URL(postgres.url))).finally(() => first.end())
  const [log, metrics] = [pino({ level: 'silent' }), createMetrics()]
  const database = await openDatabase({ url: postgres.url, connections: 8, log, metrics, tracing: null })
  return {
    database,
    sql: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await pool.query<Row>(text, values)).rows,
    async [Symbol.asyncDispose]() {
      await database.close()
      await pool.end()
      await postgres.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The tokens are on the first server: what refers to them, and what is copied from them, is seen to there. */
const onSecondServer = `
  alter table token_secrets drop constraint token_secrets_token_fkey;
  alter table token_secrets add constraint upper_half check (digest >= ${middle});
  drop trigger copy_token on token_secrets;
  drop trigger announce_change on token_secrets;
  drop trigger announce_removal on token_secrets;
  drop index token_secrets_one_current;
  alter table token_roles drop constraint token_roles_organization_id_organizations_id_fk;`

const onFirstServer = ({ hostname, port, username, password, pathname }: URL) => `
  create extension postgres_fdw;
  create server second foreign data wrapper postgres_fdw
    options (host '${hostname}', port '${port}', dbname '${pathname.slice(1)}');
  create user mapping for public server second options (user '${username}', password '${password}');

  alter table token_secrets rename to token_secrets_lower;
  create table token_secrets (like token_secrets_lower including defaults) partition by range (digest);
  alter table token_secrets enable row level security, force row level security;
  create policy own_organization on token_secrets to latchkey_server
    using (organization_id = (select current_organization_id()));
  create policy every_organization on token_secrets to latchkey_lookup using (true);
  grant select, insert, update, delete on token_secrets to latchkey_server;
  grant select, update (last_used_at) on token_secrets to latchkey_lookup;

  -- A foreign key would have to hold between servers. The token is locked by copy_token when a secret of it is written, and
  -- its secrets are removed by a trigger of its own.
  alter table token_secrets_lower drop constraint token_secrets_token_fkey;
  create function remove_secrets() returns trigger language plpgsql set search_path = pg_catalog, public as $$
  begin
    delete from token_secrets where organization_id = OLD.organization_id and token_id = OLD.id;
    return null;
  end
  $$;
  create trigger remove_secrets after delete on integration_tokens for each row execute function remove_secrets();

  -- What is to be unique among the secrets of a token is in no one place; the lock of the token makes it so.
  drop index token_secrets_one_current;

  -- The triggers for each row go with the table. That for each statement asks for all that it removed, which nobody has.
  do $$
  declare
    definition text;
  begin
    foreach definition in array array(
      select pg_get_triggerdef(oid) from pg_trigger
      where tgrelid = 'token_secrets_lower'::regclass and not tgisinternal and tgname in ('copy_token', 'announce_change'))
    loop
      execute replace(definition, 'token_secrets_lower', 'token_secrets');
    end loop;
  end
  $$;
  drop trigger copy_token on token_secrets_lower;
  drop trigger announce_change on token_secrets_lower;
  drop trigger announce_removal on token_secrets_lower;
  create trigger announce_removal after delete on token_secrets for each row execute function announce_token_of_secret();

  alter table token_secrets attach partition token_secrets_lower for values from (minvalue) to (${middle});
  create foreign table token_secrets_upper partition of token_secrets for values from (${middle}) to (maxvalue)
    server second options (table_name 'token_secrets');

  -- A verification says what a token's role permits: the roles are on every server.
  create foreign table token_roles_second (
    id text, organization_id text, label text, label_key text, description text, permissions text[], created_at timestamptz(3)
  ) server second options (table_name 'token_roles');
  create function copy_role() returns trigger language plpgsql security definer set search_path = pg_catalog, public as $$
  begin
    delete from token_roles_second where id = coalesce(OLD.id, NEW.id);
    if tg_op <> 'DELETE' then
      insert into token_roles_second (id, organization_id, label, label_key, description, permissions, created_at)
        values (NEW.id, NEW.organization_id, NEW.label, NEW.label_key, NEW.description, NEW.permissions, NEW.created_at);
    end if;
    return null;
  end
  $$;
  create trigger copy_role after insert or update or delete on token_roles for each row execute function copy_role();`

type Statement = Parameters<LookupPool['query']>[0]

const digestBytes = 32
/** Where `tables` of credential-rows.ts has integration tokens: the others are all on the first server. */
const integrationTokens = 0

/** Asks each server for its own part of the digests, by the statement that asks one server for all of them. */
export function askEachServer([first, second]: [LookupPool, LookupPool]): LookupPool {
  return {
    async query(statement) {
      const tables = statement.name.slice('credentials of '.length).split(',').map(Number)
      const belongs = (server: number) => (table: number, digest: Buffer) =>
        Number(table === integrationTokens && digest.readUInt8() >= 0x80) === server
      const answers = await Promise.all(
        [first, second].map((pool, server) => askFor(pool, statement, tables, belongs(server))),
      )
      return { rows: answers.flat() }
    },
  }
}

async function askFor(
  pool: LookupPool,
  statement: Statement,
  tables: number[],
  belongs: (table: number, digest: Buffer) => boolean,
) {
  const parts = tables.flatMap((table, n) => {
    const all = statement.values[n] ?? Buffer.alloc(0)
    const digests = Array.from({ length: all.length / digestBytes }, (_, place) => ({
      place,
      digest: all.subarray(place * digestBytes, (place + 1) * digestBytes),
    })).filter(({ digest }) => belongs(table, digest))
    return digests.length > 0 ? [{ table, digests }] : []
  })
  if (parts.length === 0) return []
  const concerned = parts.map(({ table }) => table)
  const { rows } = await pool.query({
    ...statement,
    name: `credentials of ${concerned.join()}`,
    text: statementOf(concerned),
    values: parts.map(({ digests }) => Buffer.concat(digests.map(({ digest }) => digest))),
  })
  // Each row counts the digests that this server was asked for.
  for (const row of rows) {
    const digests = parts.find(({ table }) => table === Number(row[0]))?.digests
    row[1] = String(digests?.[Number(row[1])]?.place)
  }
  return rows
}
