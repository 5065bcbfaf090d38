/**
 * Every table. Instants have milliseconds, as in the API, so that a cursor made from one is exact. Row-level security,
 * the roles and their grants are in the migrations, and so are the triggers that tell verifiers what has changed; tests
 * walk the catalogue for tables and columns that lack them.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  customType,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
} from 'drizzle-orm/pg-core'
import type {
  AccessTokenId,
  EventId,
  GroupId,
  InvitationId,
  MemberId,
  OrganizationId,
  PersonId,
  RoleId,
  ServiceId,
  SessionId,
  TokenId,
  WebhookDeliveryId,
  WebhookId,
} from '../identifiers.ts'
import type { GroupRole, OrganizationRole } from '../organizations/roles.ts'
import type { DeliveryStatus, WebhookEventType } from '../webhooks/event-types.ts'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3 })
const createdAt = () => instant('created_at').notNull().defaultNow()

export const organizations = pgTable('organizations', {
  id: text('id').$type<OrganizationId>().primaryKey(),
  name: text('name').notNull(),
  slug: text('slug').notNull().unique(),
  createdAt: createdAt(),
  /** What it asks of its tokens' expiry: see server/tokens/policy.ts. */
  longestTokenLifetimeDays: integer('longest_token_lifetime_days'),
  tokenExpiryRequired: boolean('token_expiry_required').notNull().default(false),
  defaultTokenLifetimeDays: integer('default_token_lifetime_days'),
})

/** One row for an email address, whichever organizations its person is a member of. */
export const people = pgTable('people', {
  id: text('id').$type<PersonId>().primaryKey(),
  /** In lower case. */
  email: text('email').notNull().unique(),
  /** Null for a person who cannot sign in by password. */
  passwordHash: text('password_hash'),
  lastOrganizationId: text('last_organization_id')
    .$type<OrganizationId>()
    .references(() => organizations.id, { onDelete: 'set null' }),
  createdAt: createdAt(),
})

export const members = pgTable(
  'members',
  {
    id: text('id').$type<MemberId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    personId: text('person_id')
      .$type<PersonId>()
      .notNull()
      .references(() => people.id),
    displayName: text('display_name').notNull(),
    role: text('role').$type<OrganizationRole>().notNull(),
    active: boolean('active').notNull().default(true),
    createdAt: createdAt(),
    /** When anything here last changed, which a trigger keeps. */
    changedAt: instant('changed_at').notNull().defaultNow(),
    /** Whether the role follows the groups that the member is in. False for a role that was given otherwise. */
    roleFromGroups: boolean('role_from_groups').notNull().default(false),
    /** What an identity provider calls the member. Nobody is ever found by it but in its own organization’s list. */
    externalId: text('external_id'),
    /** What else an identity provider told of the member, to be given back as it was sent. */
    attributes: jsonb('attributes').$type<Record<string, unknown>>().notNull().default({}),
  },
  (table) => [
    unique('members_organization_id_id_key').on(table.organizationId, table.id),
    unique('members_person_id_organization_id_key').on(table.personId, table.organizationId),
    unique('members_external_id_taken').on(table.organizationId, table.externalId),
    uniqueIndex('members_one_owner').on(table.organizationId).where(sql`role = 'OWNER'`),
    check('members_role', sql`role in ('OWNER', 'SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST')`),
  ],
)

/** The domains of email addresses that are the organization’s, as the operator has confirmed: who has one of those is its to say. */
export const organizationDomains = pgTable(
  'organization_domains',
  {
    /** In lower case. */
    domain: text('domain').primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    createdAt: createdAt(),
  },
  (table) => [index('organization_domains_organization_id').on(table.organizationId)],
)

/** Accepted ones, and withdrawn ones, are not here. */
export const invitations = pgTable(
  'invitations',
  {
    id: text('id').$type<InvitationId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    /** In lower case. */
    email: text('email').notNull(),
    role: text('role').$type<OrganizationRole>().notNull(),
    digest: bytea('digest').notNull().unique(),
    keyId: text('key_id').notNull(),
    createdByMemberId: text('created_by_member_id').$type<MemberId>().notNull(),
    createdAt: createdAt(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    unique('invitations_organization_id_email_key').on(table.organizationId, table.email),
    check('invitations_role', sql`role in ('SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST')`),
    // Whoever has left has nobody let in behind them.
    foreignKey({
      name: 'invitations_created_by_fkey',
      columns: [table.organizationId, table.createdByMemberId],
      foreignColumns: [members.organizationId, members.id],
    }).onDelete('cascade'),
  ],
)

/** Groups come from the organization’s identity provider. */
export const groups = pgTable(
  'groups',
  {
    id: text('id').$type<GroupId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    displayName: text('display_name').notNull(),
    /** The name as it is compared: without regard to case. */
    nameKey: text('name_key').notNull(),
    externalId: text('external_id'),
    /** The role of its members; null where the group says nothing of it. */
    role: text('role').$type<GroupRole>(),
    createdAt: createdAt(),
    changedAt: instant('changed_at').notNull().defaultNow(),
  },
  (table) => [
    unique('groups_organization_id_id_key').on(table.organizationId, table.id),
    unique('groups_name_taken').on(table.organizationId, table.nameKey),
    unique('groups_external_id_taken').on(table.organizationId, table.externalId),
    check('groups_role', sql`role in ('SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST')`),
  ],
)

export const groupMembers = pgTable(
  'group_members',
  {
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    groupId: text('group_id').$type<GroupId>().notNull(),
    memberId: text('member_id').$type<MemberId>().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.organizationId, table.groupId, table.memberId] }),
    index('group_members_member_id').on(table.organizationId, table.memberId),
    foreignKey({
      name: 'group_members_group_fkey',
      columns: [table.organizationId, table.groupId],
      foreignColumns: [groups.organizationId, groups.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'group_members_member_fkey',
      columns: [table.organizationId, table.memberId],
      foreignColumns: [members.organizationId, members.id],
    }).onDelete('cascade'),
  ],
)

/** A session is its person's, and acts in one organization at a time. */
export const sessions = pgTable(
  'sessions',
  {
    id: text('id').$type<SessionId>().primaryKey(),
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    personId: text('person_id').$type<PersonId>().notNull(),
    digest: bytea('digest').notNull().unique(),
    keyId: text('key_id').notNull(),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    createdAt: createdAt(),
    /** Written behind, to within a minute. */
    lastUsedAt: instant('last_used_at').notNull().defaultNow(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    index('sessions_person_id').on(table.personId),
    index('sessions_expires_at').on(table.expiresAt),
    foreignKey({
      name: 'sessions_member_fkey',
      columns: [table.personId, table.organizationId],
      foreignColumns: [members.personId, members.organizationId],
    }).onDelete('cascade'),
  ],
)

export const accessTokens = pgTable(
  'access_tokens',
  {
    id: text('id').$type<AccessTokenId>().primaryKey(),
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    memberId: text('member_id').$type<MemberId>().notNull().unique(),
    digest: bytea('digest').notNull().unique(),
    keyId: text('key_id').notNull(),
    hint: text('hint').notNull(),
    createdAt: createdAt(),
    lastUsedAt: instant('last_used_at'),
  },
  (table) => [
    foreignKey({
      name: 'access_tokens_member_fkey',
      columns: [table.organizationId, table.memberId],
      foreignColumns: [members.organizationId, members.id],
    }).onDelete('cascade'),
  ],
)

export const services = pgTable('services', {
  id: text('id').$type<ServiceId>().primaryKey(),
  name: text('name').notNull().unique(),
  permissions: text('permissions').array().notNull(),
  digest: bytea('digest').notNull().unique(),
  keyId: text('key_id').notNull(),
  hint: text('hint').notNull(),
  createdAt: createdAt(),
  lastUsedAt: instant('last_used_at'),
})

/** Managed roles have no organization and are everyone's; the migrations put them here. */
export const tokenRoles = pgTable(
  'token_roles',
  {
    id: text('id').$type<RoleId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .references(() => organizations.id),
    label: text('label').notNull(),
    /** The label as it is compared: see `labelKey`. */
    labelKey: text('label_key').notNull(),
    description: text('description').notNull(),
    permissions: text('permissions').array().notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    index('token_roles_organization_id').on(table.organizationId),
    unique('token_roles_label_taken').on(table.organizationId, table.labelKey),
    // What Latchkey itself goes by is for managed roles, and for services: a token could verify, or manage, with it.
    check(
      'token_roles_reserved',
      sql`organization_id is null or array_to_string(permissions, ' ') !~ '(^| )(tokens|members|scim):'`,
    ),
  ],
)

/**
 * The instants of an order, where none is one as well. Not COALESCE, which PostgreSQL does not count among what leaks
 * nothing: behind row-level security it would read every row before it compared one, and leave the index unused.
 */
export const whenEnding = `(case when expires_at is null then 'infinity'::timestamptz else expires_at end)`
export const whenUsed = `(case when last_used_at is null then '-infinity'::timestamptz else last_used_at end)`

export const integrationTokens = pgTable(
  'integration_tokens',
  {
    id: text('id').$type<TokenId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    label: text('label').notNull(),
    /** The label as it is compared: see `labelKey`. */
    labelKey: text('label_key').notNull(),
    description: text('description'),
    /** The label and the description as they are searched: see `searchText`. */
    searchText: text('search_text').notNull(),
    roleId: text('role_id')
      .$type<RoleId>()
      .notNull()
      .references(() => tokenRoles.id),
    enabled: boolean('enabled').notNull().default(true),
    createdAt: createdAt(),
    createdByMemberId: text('created_by_member_id').$type<MemberId>(),
    /** The service account that made the token, and that may delete it: also once it is gone itself, since ids do not come again. */
    createdByTokenId: text('created_by_token_id').$type<TokenId>(),
    expiresAt: instant('expires_at'),
  },
  (table) => [
    unique('integration_tokens_organization_id_id_key').on(table.organizationId, table.id),
    unique('integration_tokens_label_taken').on(table.organizationId, table.labelKey),
    index('integration_tokens_created_at').on(table.organizationId, table.createdAt, table.id),
    index('integration_tokens_expires_at').on(table.organizationId, sql.raw(whenEnding), table.id),
    index('integration_tokens_role_id').on(table.organizationId, table.roleId),
    index('integration_tokens_disabled')
      .on(table.organizationId, sql.raw(whenEnding), table.id)
      .where(sql`not enabled`),
    foreignKey({
      name: 'integration_tokens_created_by_fkey',
      columns: [table.createdByMemberId],
      foreignColumns: [members.id],
    }).onDelete('set null'),
  ],
)

/**
 * When each token was last used: a row for every token, which a trigger makes with it. Apart from the token, since it is
 * written so often, and every write of a row writes its entry in each of the table's indexes anew.
 */
export const tokenUses = pgTable(
  'token_uses',
  {
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    tokenId: text('token_id').$type<TokenId>().notNull(),
    lastUsedAt: instant('last_used_at'),
    lastUsedFrom: text('last_used_from'),
    retiredSecretLastUsedAt: instant('retired_secret_last_used_at'),
  },
  (table) => [
    primaryKey({ columns: [table.organizationId, table.tokenId] }),
    index('token_uses_last_used_at').on(table.organizationId, sql.raw(whenUsed), table.tokenId),
    foreignKey({
      name: 'token_uses_token_fkey',
      columns: [table.organizationId, table.tokenId],
      foreignColumns: [integrationTokens.organizationId, integrationTokens.id],
    }).onDelete('cascade'),
  ],
)

/** Where tokens are searched: a copy that a trigger keeps, so that other changes of a token leave the search index alone. */
export const tokenSearchTexts = pgTable(
  'token_search_texts',
  {
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    tokenId: text('token_id').$type<TokenId>().notNull(),
    searchText: text('search_text').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.organizationId, table.tokenId] }),
    // Every search reads the whole list of what is pending, so that is kept short.
    index('token_search_texts_keys')
      .using('gin', sql`search_keys(organization_id, search_grams(search_text))`)
      .with({ gin_pending_list_limit: 256 }),
    foreignKey({
      name: 'token_search_texts_token_fkey',
      columns: [table.organizationId, table.tokenId],
      foreignColumns: [integrationTokens.organizationId, integrationTokens.id],
    }).onDelete('cascade'),
  ],
)

const filledByTrigger = () => sql`default`

/**
 * The secrets of integration tokens, retired ones too, so that the use of a retired one is noticed. With them goes what a
 * verdict says of their token, so that a look-up reads one row: triggers copy it whenever either row is written, and let
 * nobody write anything else.
 */
export const tokenSecrets = pgTable(
  'token_secrets',
  {
    digest: bytea('digest').primaryKey(),
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    tokenId: text('token_id').$type<TokenId>().notNull(),
    keyId: text('key_id').notNull(),
    hint: text('hint').notNull(),
    createdAt: createdAt(),
    /** Null while it is the token's current secret. */
    acceptedUntil: instant('accepted_until'),
    /** When it was last accepted or, for a retired one, refused. */
    lastUsedAt: instant('last_used_at'),
    tokenLabel: text('token_label').notNull().$default(filledByTrigger),
    tokenRoleId: text('token_role_id').$type<RoleId>().notNull().$default(filledByTrigger),
    tokenEnabled: boolean('token_enabled').notNull().$default(filledByTrigger),
    tokenCreatedAt: instant('token_created_at').notNull().$default(filledByTrigger),
    tokenExpiresAt: instant('token_expires_at'),
  },
  (table) => [
    uniqueIndex('token_secrets_one_current').on(table.tokenId).where(sql`accepted_until is null`),
    index('token_secrets_token_id').on(table.organizationId, table.tokenId),
    foreignKey({
      name: 'token_secrets_token_fkey',
      columns: [table.organizationId, table.tokenId],
      foreignColumns: [integrationTokens.organizationId, integrationTokens.id],
    }).onDelete('cascade'),
  ],
)

/**
 * What makes the retry of a creation safe. The secret is not here: it is derived again from the server key, the salt and
 * the caller's key, of which only a digest is kept. Outlives the token, so that a late retry cannot make it anew.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    digest: bytea('digest').primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    inputDigest: bytea('input_digest').notNull(),
    salt: bytea('salt').notNull(),
    tokenId: text('token_id').$type<TokenId>().notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('idempotency_keys_created_at').on(table.createdAt)],
)

export const auditEvents = pgTable(
  'audit_events',
  {
    id: text('id').$type<EventId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    at: instant('at').notNull().defaultNow(),
    action: text('action').notNull(),
    actor: text('actor').notNull(),
    actorId: text('actor_id'),
    target: text('target'),
    targetId: text('target_id'),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    /** Its place in the organization's chain, from 1 on. Null, as the next two, for an event from before there were chains. */
    position: bigint('position', { mode: 'number' }),
    /** Names the server key of the hash. */
    keyId: text('key_id'),
    /** See server/audit/chain.ts. */
    hash: bytea('hash'),
  },
  (table) => [
    uniqueIndex('audit_events_position').on(table.organizationId, table.position),
    index('audit_events_unchained').on(table.organizationId, table.at, table.id).where(sql`position is null`),
    index('audit_events_at').on(table.organizationId, table.at, table.id),
    index('audit_events_target_id').on(table.organizationId, table.targetId, table.at, table.id),
    index('audit_events_action').on(table.organizationId, table.action, table.at, table.id),
  ],
)

/** Where each organization's chain of events ends: a row for every organization, which a trigger makes with it. */
export const auditHeads = pgTable('audit_heads', {
  organizationId: text('organization_id')
    .$type<OrganizationId>()
    .primaryKey()
    .references(() => organizations.id),
  /** How many events the chain has. */
  position: bigint('position', { mode: 'number' }).notNull(),
  /** What the next event is chained to. */
  link: bytea('link').notNull(),
  /** What the first one is: a digest of the events from before the chain. */
  beginning: bytea('beginning').notNull(),
})

/** Addresses of organizations that are told what happens to their tokens. */
export const webhooks = pgTable(
  'webhooks',
  {
    id: text('id').$type<WebhookId>().primaryKey(),
    organizationId: text('organization_id')
      .$type<OrganizationId>()
      .notNull()
      .references(() => organizations.id),
    url: text('url').notNull(),
    description: text('description'),
    eventTypes: text('event_types').array().$type<WebhookEventType[]>().notNull(),
    enabled: boolean('enabled').notNull().default(true),
    createdAt: createdAt(),
    /** Sealed under the server key that `keyId` names, as is the former one: see server/webhooks/signing-secret.ts. */
    secret: bytea('secret').notNull(),
    formerSecret: bytea('former_secret'),
    formerSecretUntil: instant('former_secret_until'),
    keyId: text('key_id').notNull(),
    failingSince: instant('failing_since'),
    lastDeliveredAt: instant('last_delivered_at'),
    /** The approach and the arrival of expiries before this instant have been told, or were never to be. */
    expiriesToldUntil: instant('expiries_told_until').notNull().defaultNow(),
  },
  (table) => [unique('webhooks_organization_id_id_key').on(table.organizationId, table.id)],
)

/** The outbox and, once a delivery has ended, the log of it. */
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: text('id').$type<WebhookDeliveryId>().primaryKey(),
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    webhookId: text('webhook_id').$type<WebhookId>().notNull(),
    /** Given under the lock of the organization’s audit chain, so that it is the order in which things happened. */
    sequence: bigint('sequence', { mode: 'number' }).generatedByDefaultAsIdentity(),
    /** The id of the event in the audit log, where it is in there. */
    eventId: text('event_id').$type<EventId>().notNull(),
    eventType: text('event_type').$type<WebhookEventType>().notNull(),
    tokenId: text('token_id').$type<TokenId>(),
    payload: text('payload').notNull(),
    status: text('status').$type<DeliveryStatus>().notNull().default('PENDING'),
    createdAt: createdAt(),
    /** When it is sent next, or is free again for another instance to send. Null for one that has ended, or whose webhook is disabled. */
    dueAt: instant('due_at').defaultNow(),
    giveUpAt: instant('give_up_at').notNull(),
    attempts: integer('attempts').notNull().default(0),
  },
  (table) => [
    unique('webhook_deliveries_organization_id_id_key').on(table.organizationId, table.id),
    index('webhook_deliveries_sequence').on(table.organizationId, table.webhookId, table.sequence),
    index('webhook_deliveries_token').on(table.organizationId, table.webhookId, table.tokenId, table.sequence),
    index('webhook_deliveries_due').on(table.dueAt).where(sql`status = 'PENDING'`),
    index('webhook_deliveries_ended').on(table.organizationId, table.createdAt).where(sql`status <> 'PENDING'`),
    check('webhook_deliveries_status', sql`status in ('PENDING', 'DELIVERED', 'FAILED')`),
    foreignKey({
      name: 'webhook_deliveries_webhook_fkey',
      columns: [table.organizationId, table.webhookId],
      foreignColumns: [webhooks.organizationId, webhooks.id],
    }).onDelete('cascade'),
  ],
)

export const webhookAttempts = pgTable(
  'webhook_attempts',
  {
    organizationId: text('organization_id').$type<OrganizationId>().notNull(),
    deliveryId: text('delivery_id').$type<WebhookDeliveryId>().notNull(),
    number: integer('number').notNull(),
    at: instant('at').notNull(),
    statusCode: integer('status_code'),
    /** Null where it succeeded. */
    problem: text('problem'),
    durationMilliseconds: integer('duration_milliseconds').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.organizationId, table.deliveryId, table.number] }),
    foreignKey({
      name: 'webhook_attempts_delivery_fkey',
      columns: [table.organizationId, table.deliveryId],
      foreignColumns: [webhookDeliveries.organizationId, webhookDeliveries.id],
    }).onDelete('cascade'),
  ],
)

/** As the rate limiter's library has them. */
const counters = {
  key: text('key').primaryKey(),
  points: integer('points').notNull().default(0),
  expire: customType<{ data: number }>({ dataType: () => 'bigint' })('expire'),
}

/** Failed sign-ins, by account and by address. */
export const signInAttempts = pgTable('sign_in_attempts', counters)

/** What was done within the minute, by whoever did it. */
export const rates = pgTable('rates', counters)
