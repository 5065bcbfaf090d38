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
  /** Null where nobody is told of metrics. */
  metricsPort: number | null
  /** Null where requests are not traced. */
  tracing: TracingConfig | null
  /** For how long a server that is to stop goes on answering, so that load balancers hear of it first. */
  shutdownDelaySeconds: number
  bootstrap: { organization: string; email: string; password: string } | null
}

/** From OpenTelemetry’s standard variables. */
export interface TracingConfig {
  /** Where spans are posted. */
  endpoint: URL
  serviceName: string
  sampler: (typeof samplers)[number]
  /** For the samplers that take a share of all. */
  samplerRatio: number
}

const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

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
  METRICS_PORT: wholeNumber(0, 65_535).optional(),
  SHUTDOWN_DELAY_SECONDS: wholeNumber(0, 300).default(0),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().refine(isWebAddress, 'is not an http:// or https:// address').optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z
    .string()
    .refine(isWebAddress, 'is not an http:// or https:// address')
    .optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: z.string().optional(),
  OTEL_TRACES_EXPORTER: z.string().optional(),
  OTEL_TRACES_SAMPLER: z.enum(samplers, `is not one of ${samplers.join(', ')}`).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z
    .string()
    .regex(/^(0(\.\d+)?|1(\.0+)?)$/, 'is not a share from 0 to 1, such as 0.05')
    .transform(Number)
    .default(1),
  OTEL_SDK_DISABLED: z
    .string()
    .transform((text) => text.toLowerCase() === 'true')
    .default(false),
  OTEL_SERVICE_NAME: z.string().default('latchkey'),
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
  if (data.METRICS_PORT !== undefined && data.METRICS_PORT === data.PORT && data.PORT !== 0) {
    throw new BadSetting('The setting METRICS_PORT is the same as PORT. Choose another, which is closed to strangers.')
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
    metricsPort: data.METRICS_PORT ?? null,
    tracing: readTracing(data),
    shutdownDelaySeconds: data.SHUTDOWN_DELAY_SECONDS,
    bootstrap: readBootstrap(data),
  }
}

/** On where an exporter or an endpoint is named; what only concerns tracing is not looked at where it is off. */
function readTracing(data: z.output<typeof settings>): TracingConfig | null {
  const exporter = data.OTEL_TRACES_EXPORTER
  const [base, own] = [data.OTEL_EXPORTER_OTLP_ENDPOINT, data.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT]
  const isAsked = exporter !== undefined || base !== undefined || own !== undefined
  if (data.OTEL_SDK_DISABLED || exporter === 'none' || !isAsked) return null
  if (exporter !== undefined && exporter !== 'otlp') {
    throw new BadSetting('The setting OTEL_TRACES_EXPORTER is neither otlp nor none.')
  }
  for (const name of ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'] as const) {
    if (data[name] === undefined) continue
    if (data[name] === 'http/protobuf') break
    throw new BadSetting(`The setting ${name} is not http/protobuf, which is what Latchkey speaks.`)
  }
  return {
    endpoint: new URL(own ?? `${(base ?? 'http://localhost:4318').replace(/\/$/, '')}/v1/traces`),
    serviceName: data.OTEL_SERVICE_NAME,
    sampler: data.OTEL_TRACES_SAMPLER,
    samplerRatio: data.OTEL_TRACES_SAMPLER_ARG,
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
