import type { BlockList } from 'node:net'
import { z } from 'zod'
import { readNetworks } from './http/client-address.ts'
import { defaultRateLimits, type RateLimitSettings } from './rate-limit-settings.ts'

export const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug'] as const

/** Everything that can be set from outside. */
export interface Config {
  host: string
  port: number
  /** Null where Latchkey runs a PostgreSQL of its own. */
  databaseUrl: string | null
  databaseConnections: number
  /** The server key, and then former ones; null where one is made and kept beside the embedded database. */
  serverKeys: readonly [string, ...string[]] | null
  publicUrl: URL
  trustedProxies: BlockList
  corsOrigins: string[]
  graphiql: boolean
  logLevel: (typeof logLevels)[number]
  tokenPrefix: string
  rateLimits: RateLimitSettings
  expiredTokenRetentionDays: number
  webhookNetworks: BlockList
  dataDirectory: string
  bootstrap: { organization: string; email: string; password: string } | null
}

/** A setting that cannot be used. Names it and says what it takes, never its value. */
export class BadSetting extends Error {}

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((entry) => entry.trim())
    .filter(Boolean),
)
const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `is not a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((number) => number >= least && number <= most, `is not a whole number from ${least} to ${most}`)
const limit = (fallback: number) => wholeNumber(0, 1_000_000).default(fallback)
const networks = list.default([]).transform((blocks, context) => {
  try {
    return readNetworks(blocks)
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'cannot be read' })
    return z.NEVER
  }
})
const isWebAddress = (text: string) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

const settings = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(4000),
  DATABASE_URL: z
    .string()
    .refine(
      (text) => URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol),
      'is not a postgres:// address',
    )
    .optional(),
  DATABASE_CONNECTIONS: wholeNumber(4, 1_000).default(20),
  LATCHKEY_SECRET: z
    .string()
    .transform((text) => text.split(',').map((key) => key.trim()))
    .refine(
      (keys) => keys.every((key) => key.length >= 32),
      'has a key of fewer than 32 characters; a comma ends one key and begins the next',
    )
    .refine((keys) => new Set(keys).size === keys.length, 'names the same key twice')
    .transform(([current = '', ...former]): [string, ...string[]] => [current, ...former])
    .optional(),
  PUBLIC_URL: z.string().refine(isWebAddress, 'is not an http:// or https:// address').optional(),
  TRUST_PROXY: networks,
  CORS_ORIGINS: list
    .refine(
      (origins) => origins.every((text) => isWebAddress(text) && new URL(text).origin === text),
      'is not a list of origins, such as https://app.example.com, without paths',
    )
    .default([]),
  GRAPHIQL: z.enum(['on', 'off'], 'is neither on nor off').default('on'),
  LOG_LEVEL: z.enum(logLevels, `is not one of ${logLevels.join(', ')}`).default('info'),
  TOKEN_PREFIX: z
    .string()
    .regex(/^[a-z]{2,10}$/, 'is not 2 to 10 lower-case letters')
    .default('lk'),
  SIGN_IN_LIMIT_BY_ACCOUNT: limit(defaultRateLimits.signInsByAccount),
  SIGN_IN_LIMIT_BY_ADDRESS: limit(defaultRateLimits.signInsByAddress),
  TOKEN_CREATION_LIMIT: limit(defaultRateLimits.secrets),
  VERIFICATION_LIMIT: limit(defaultRateLimits.verifications),
  EXPIRED_TOKEN_RETENTION_DAYS: wholeNumber(0, 36_500).default(90),
  WEBHOOK_NETWORKS: networks,
  DATA_DIRECTORY: z.string().min(1, 'is empty').default('.data'),
  BOOTSTRAP_ORGANIZATION: z.string().optional(),
  BOOTSTRAP_EMAIL: z.string().optional(),
  BOOTSTRAP_PASSWORD: z.string().optional(),
})

/** The names of the settings, for the documentation to be held against. */
export const settingNames = Object.keys(settings.shape)

/** Reads the settings out of an environment. An empty one counts as not set. Throws `BadSetting`. */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(settingNames.map((name) => [name, environment[name]?.trim() || undefined]))
  const result = settings.safeParse(given)
  if (!result.success) {
    const [issue] = result.error.issues
    throw new BadSetting(`The setting ${String(issue?.path[0])} ${issue?.message}.`)
  }
  const { data } = result
  if (data.DATABASE_URL && !data.LATCHKEY_SECRET) {
    throw new BadSetting(
      'The setting LATCHKEY_SECRET is needed with DATABASE_URL: at least 32 random characters, the same for every instance. “openssl rand -base64 32” makes one.',
    )
  }
  const host = data.HOST.includes(':') ? `[${data.HOST}]` : data.HOST
  return {
    host: data.HOST,
    port: data.PORT,
    databaseUrl: data.DATABASE_URL ?? null,
    databaseConnections: data.DATABASE_CONNECTIONS,
    serverKeys: data.LATCHKEY_SECRET ?? null,
    publicUrl: new URL(data.PUBLIC_URL ?? `http://${host}:${data.PORT}`),
    trustedProxies: data.TRUST_PROXY,
    corsOrigins: data.CORS_ORIGINS,
    graphiql: data.GRAPHIQL === 'on',
    logLevel: data.LOG_LEVEL,
    tokenPrefix: data.TOKEN_PREFIX,
    rateLimits: {
      signInsByAccount: data.SIGN_IN_LIMIT_BY_ACCOUNT,
      signInsByAddress: data.SIGN_IN_LIMIT_BY_ADDRESS,
      secrets: data.TOKEN_CREATION_LIMIT,
      verifications: data.VERIFICATION_LIMIT,
    },
    expiredTokenRetentionDays: data.EXPIRED_TOKEN_RETENTION_DAYS,
    webhookNetworks: data.WEBHOOK_NETWORKS,
    dataDirectory: data.DATA_DIRECTORY,
    bootstrap: readBootstrap(data),
  }
}

function readBootstrap(data: z.output<typeof settings>): Config['bootstrap'] {
  const { BOOTSTRAP_ORGANIZATION: organization, BOOTSTRAP_EMAIL: email, BOOTSTRAP_PASSWORD: password } = data
  if (organization === undefined && email === undefined && password === undefined) return null
  if (organization === undefined || email === undefined || password === undefined) {
    throw new BadSetting(
      'The settings BOOTSTRAP_ORGANIZATION, BOOTSTRAP_EMAIL and BOOTSTRAP_PASSWORD go together: give all three.',
    )
  }
  return { organization, email, password }
}
