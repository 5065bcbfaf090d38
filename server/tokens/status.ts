import { type SQL, sql } from 'drizzle-orm'
import { integrationTokens } from '../database/tables.ts'

export const tokenStatuses = ['ACTIVE', 'DISABLED', 'EXPIRED'] as const
export type TokenStatus = (typeof tokenStatuses)[number]

/**
 * The status by the database's clock, which decides what is accepted. Disabled outranks expired: what an admin did stays
 * visible after the clock runs out.
 */
export const status: SQL<TokenStatus> = sql<TokenStatus>`case
  when not ${integrationTokens.enabled} then 'DISABLED'
  when ${integrationTokens.expiresAt} <= now() then 'EXPIRED'
  else 'ACTIVE' end`
