import type { OrganizationId } from '../server/identifiers.ts'
import type { Instance } from './instance.ts'

const text = (words: string) => `(array['${words.split(' ').join("','")}'])`
const systems = text('Jenkins GitLab CircleCI Buildkite TeamCity Bamboo Drone Argo Tekton Okta Jira Terraform Renovate')
const services = text(
  'payments checkout ledger catalogue search identity billing invoices shipping warehouse returns pricing fraud mobile gateway',
)
const places = text('production staging preview nightly canary sandbox eu-central us-east ap-south')
const pick = (words: string, random: string) => `${words}[1 + floor(${random} * array_length(${words}, 1))::int]`

/**
 * Tokens as they come about over a thousand days, and one secret for each: 10 % expired within the last 90 days and not
 * purged yet, 20 % with an end ahead, 5 % disabled, one in five never used. Ten are called “Keycloak”, however many there are.
 */
export async function fillTokens(
  { sql }: Pick<Instance, 'sql'>,
  { organizationId, tokens }: { organizationId: OrganizationId; tokens: number },
): Promise<void> {
  // What the triggers would copy is copied here, row by row being most of the work; and an index that is made afterwards
  // takes a fifth of the time.
  await sql('set session_replication_role = replica')
  const [index] = await sql<{ definition: string }>(
    `select pg_get_indexdef('token_search_texts_keys'::regclass) as definition`,
  )
  await sql('drop index token_search_texts_keys')
  await sql(
    `with seed as materialized (select setseed(0.5)),
    drawn as materialized (
      select number, random() as kind, random() as used, random() as role, random() < 0.05 as disabled,
        ${pick(systems, 'random()')} || ' ' || ${pick(services, 'random()')} || ' ' || ${pick(places, 'random()')} as name,
        now() - random() * interval '1000 days' as created_at,
        now() - random() * interval '90 days' as ended_at,
        now() + random() * interval '365 days' as ending_at,
        (array[30, 90, 180, 365])[1 + floor(random() * 4)::int] * interval '1 day' as lifetime,
        random() as described, random() as creator
      from seed, generate_series(1, $2::int) number
    ),
    aged as (
      select *, case when kind < 0.1 then ended_at - lifetime else created_at end as born_at,
        case when kind < 0.1 then ended_at when kind < 0.3 then ending_at end as expires_at
      from drawn
    ),
    labelled as (
      select *, row_number() over (order by born_at) as nth,
        case when number % greatest($2::int / 10, 1) = 0 then 'Keycloak' else name end || ' ' || number as label,
        case when described < 0.3 then 'Owned by team ' || ${pick(services, 'creator')} || ', see the runbook.' end as description
      from aged
    ),
    inserted as (
      insert into integration_tokens (id, organization_id, label, label_key, description, search_text, role_id, enabled,
        created_at, created_by_member_id, expires_at)
      select 'tok_0' || lpad(to_hex(nth), 9, '0') || left(md5($1 || number), 16), $1, label, lower(label), description,
        lower(label || coalesce(E'\\n' || description, '')),
        case when role < 0.7 then 'role_ci' when role < 0.9 then 'role_jira' when role < 0.999 then 'role_service_account' else 'role_scim' end,
        not disabled, born_at, (select id from members where organization_id = $1 limit 1), expires_at
      from labelled order by nth
      returning id, organization_id, label, role_id, enabled, created_at, expires_at
    )
    insert into token_secrets (digest, organization_id, token_id, key_id, hint, created_at,
      token_label, token_role_id, token_enabled, token_created_at, token_expires_at)
    select sha256(id::bytea), organization_id, id, 'bench', right(md5(id), 4), created_at,
      label, role_id, enabled, created_at, expires_at from inserted`,
    [organizationId, tokens],
  )
  await sql(
    `with seed as materialized (select setseed(0.25)),
    drawn as materialized (
      select id, created_at, least(now(), expires_at) as until, random() as used
      from seed, integration_tokens where organization_id = $1
    )
    insert into token_uses (organization_id, token_id, last_used_at, last_used_from)
    select $1, id, case when used > 0.2 then until - (until - created_at) * power(used, 8) end,
      case when used > 0.2 then '198.51.100.' || floor(used * 255) end
    from drawn`,
    [organizationId],
  )
  await sql(
    `insert into token_search_texts (organization_id, token_id, search_text)
    select organization_id, id, search_text from integration_tokens where organization_id = $1`,
    [organizationId],
  )
  if (index) await sql(index.definition)
  await sql('reset session_replication_role')
  await sql('vacuum (analyze)')
}
