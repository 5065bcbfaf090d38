import { describe, expect, it } from 'vitest'
import { BadSetting, readConfig, settingNames } from './config.ts'

const secret = 'a server key that is long enough for anyone'

function refusalOf(environment: Record<string, string>): string {
  try {
    readConfig(environment)
  } catch (error) {
    if (error instanceof BadSetting) return error.message
    throw error
  }
  throw new Error('The settings were taken.')
}

describe('the settings', () => {
  it('are none at all for a first try: the embedded database, on this machine only', () => {
    const {
      host,
      port,
      databaseUrl,
      serverKeys,
      publicUrl,
      corsOrigins,
      trustedProxies,
      bootstrap,
      graphiql,
      logLevel,
      tokenPrefix,
    } = readConfig({})
    expect({ host, port, databaseUrl, serverKeys, corsOrigins, bootstrap, graphiql, logLevel, tokenPrefix }).toEqual({
      host: '127.0.0.1',
      port: 4000,
      databaseUrl: null,
      serverKeys: null,
      corsOrigins: [],
      bootstrap: null,
      graphiql: true,
      logLevel: 'info',
      tokenPrefix: 'lk',
    })
    expect(publicUrl.href).toBe('http://127.0.0.1:4000/')
    expect(trustedProxies.rules).toEqual([])
  })

  it('count as not set where they are empty or blank, and are read without the white space around them', () => {
    const empty = Object.fromEntries(settingNames.map((name) => [name, ' ']))
    expect(readConfig(empty)).toEqual(readConfig({}))
    expect(readConfig({ PORT: ' 4001\n' }).port).toBe(4001)
  })

  it('are read as given', () => {
    const config = readConfig({
      HOST: '::1',
      PORT: '8443',
      DATABASE_URL: 'postgresql://u:p@db.example/latchkey',
      DATABASE_CONNECTIONS: '40',
      LATCHKEY_SECRET: secret,
      PUBLIC_URL: 'https://tokens.example.com',
      TRUST_PROXY: '10.0.0.0/8, ::1',
      CORS_ORIGINS: 'https://app.example.com, http://localhost:5173',
      GRAPHIQL: 'off',
      LOG_LEVEL: 'debug',
      TOKEN_PREFIX: 'acme',
      SIGN_IN_LIMIT_BY_ACCOUNT: '5',
      SIGN_IN_LIMIT_BY_ADDRESS: '0',
      TOKEN_CREATION_LIMIT: '60',
      VERIFICATION_LIMIT: '1000000',
      EXPIRED_TOKEN_RETENTION_DAYS: '0',
      SHUTDOWN_DELAY_SECONDS: '15',
      DATA_DIRECTORY: '/var/lib/latchkey',
      BOOTSTRAP_ORGANIZATION: 'Acme',
      BOOTSTRAP_EMAIL: 'ada@acme.example',
      BOOTSTRAP_PASSWORD: 'correct horse battery',
    })
    expect(config).toMatchObject({
      host: '::1',
      port: 8443,
      databaseUrl: 'postgresql://u:p@db.example/latchkey',
      databaseConnections: 40,
      serverKeys: [secret],
      corsOrigins: ['https://app.example.com', 'http://localhost:5173'],
      graphiql: false,
      logLevel: 'debug',
      tokenPrefix: 'acme',
      rateLimits: { signInsByAccount: 5, signInsByAddress: 0, secrets: 60, verifications: 1_000_000 },
      expiredTokenRetentionDays: 0,
      shutdownDelaySeconds: 15,
      dataDirectory: '/var/lib/latchkey',
      bootstrap: { organization: 'Acme', email: 'ada@acme.example', password: 'correct horse battery' },
    })
    expect(config.publicUrl.origin).toBe('https://tokens.example.com')
    expect(config.trustedProxies.check('10.1.2.3')).toBe(true)
    expect(readConfig({ HOST: '::1' }).publicUrl.href).toBe('http://[::1]:4000/')
  })

  const bad: [name: string, takes: string, values: string[]][] = [
    [
      'PORT',
      'is not a whole number from 0 to 65535.',
      ['65536', '-1', '4000.5', '0x50', 'canary', '4e3', '٤٠٠٠', '99999999999999999999'],
    ],
    [
      'DATABASE_URL',
      'is not a postgres:// address.',
      ['canary', 'mysql://canary:canary@db/x', 'postgres', '://canary', 'http://canary'],
    ],
    ['DATABASE_CONNECTIONS', 'is not a whole number from 4 to 1000.', ['3', '1001', 'canary']],
    [
      'LATCHKEY_SECRET',
      'has a key of fewer than 32 characters; a comma ends one key and begins the next.',
      ['canary', 'canary'.repeat(5), `${secret},canary`, `${secret},`, `,${secret}`, `${secret}, ,${secret}`],
    ],
    ['LATCHKEY_SECRET', 'names the same key twice.', [`${secret}, ${secret}`]],
    [
      'PUBLIC_URL',
      'is not an http:// or https:// address.',
      ['canary', 'ftp://canary', 'javascript:canary', 'tokens.example.com'],
    ],
    [
      'TRUST_PROXY',
      'is not a list of addresses or CIDR blocks, such as 10.0.0.0/8,::1.',
      [
        'canary',
        '10.0.0.0/33',
        '10.0.0.0/999',
        '::1/129',
        '10.0.0.0/8/canary',
        '10.0.0.0/',
        '10.0.0.0/-1',
        '10.0.0/8',
        '10.0.0.1,canary',
        '*',
      ],
    ],
    [
      'CORS_ORIGINS',
      'is not a list of origins, such as https://app.example.com, without paths.',
      [
        'canary',
        '*',
        'null',
        'https://app.example.com/',
        'https://app.example.com/canary',
        'https://canary@app.example.com',
        'ftp://app.example.com',
        'https://APP.example.com',
        'https://app.example.com:443',
        'https://a.example.com,canary',
      ],
    ],
    ['GRAPHIQL', 'is neither on nor off.', ['canary', 'ON', 'true', '0']],
    ['LOG_LEVEL', 'is not one of silent, fatal, error, warn, info, debug.', ['canary', 'INFO', 'trace']],
    ['TOKEN_PREFIX', 'is not 2 to 10 lower-case letters.', ['l', 'LK', 'lk_', 'l1', 'canarycanary', 'é']],
    ['SIGN_IN_LIMIT_BY_ACCOUNT', 'is not a whole number from 0 to 1000000.', ['-1', '1.5', '1000001', 'canary']],
    ['SIGN_IN_LIMIT_BY_ADDRESS', 'is not a whole number from 0 to 1000000.', ['-1', '1000001', 'canary']],
    ['TOKEN_CREATION_LIMIT', 'is not a whole number from 0 to 1000000.', ['-1', '1000001', 'canary', 'off']],
    ['VERIFICATION_LIMIT', 'is not a whole number from 0 to 1000000.', ['-1', '1000001', 'canary', 'none']],
    ['METRICS_PORT', 'is not a whole number from 0 to 65535.', ['65536', '-1', 'canary', 'off']],
    ['SHUTDOWN_DELAY_SECONDS', 'is not a whole number from 0 to 300.', ['301', '-1', '1.5', 'canary']],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'is not an http:// or https:// address.', ['canary', 'grpc://canary:4317']],
    ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'is not an http:// or https:// address.', ['canary', 'canary:4318']],
    ['OTEL_TRACES_EXPORTER', 'is neither otlp nor none.', ['canary', 'console', 'otlp,console']],
    ['OTEL_TRACES_SAMPLER_ARG', 'is not a share from 0 to 1, such as 0.05.', ['1.1', '-1', 'canary', '5%']],
    ['EXPIRED_TOKEN_RETENTION_DAYS', 'is not a whole number from 0 to 36500.', ['-1', '36501', 'canary', 'for ever']],
  ]
  for (const [name, takes, values] of bad) {
    it(`are refused with a bad ${name}, which is named and told what it takes, but not shown`, () => {
      for (const value of values) {
        expect(refusalOf({ [name]: value })).toBe(`The setting ${name} ${takes}`)
      }
    })
  }

  it('ask for traces where an exporter or an endpoint is named, and nothing forbids them', () => {
    const endpointOf = (environment: Record<string, string>) => readConfig(environment).tracing?.endpoint.href
    const base = { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example/otlp/' }
    const own = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example/' }
    expect(endpointOf({})).toBeUndefined()
    expect(endpointOf({ OTEL_SERVICE_NAME: 'tokens', OTEL_TRACES_SAMPLER: 'always_on' })).toBeUndefined()
    expect(endpointOf({ OTEL_TRACES_EXPORTER: 'otlp' })).toBe('http://localhost:4318/v1/traces')
    expect(endpointOf(base)).toBe('https://collector.example/otlp/v1/traces')
    expect(endpointOf({ ...base, ...own })).toBe('https://traces.example/')
    expect(endpointOf({ ...base, OTEL_TRACES_EXPORTER: 'none' })).toBeUndefined()
    expect(endpointOf({ ...base, OTEL_SDK_DISABLED: 'TRUE' })).toBeUndefined()
    expect(endpointOf({ ...base, OTEL_SDK_DISABLED: 'no' })).toBeDefined()
  })

  it('refuse a protocol that is not spoken, where there is anything to say', () => {
    const base = { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example' }
    const spoken = 'http/protobuf'
    for (const name of ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL']) {
      expect(refusalOf({ ...base, [name]: 'grpc' })).toBe(
        `The setting ${name} is not http/protobuf, which is what Latchkey speaks.`,
      )
      expect(readConfig({ [name]: 'grpc' }).tracing).toBeNull()
      expect(readConfig({ ...base, [name]: spoken }).tracing).not.toBeNull()
    }
    const both = { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: spoken }
    expect(readConfig({ ...base, ...both }).tracing).not.toBeNull()
  })

  it('keep metrics away from the port that strangers reach', () => {
    expect(refusalOf({ METRICS_PORT: '4000' })).toBe(
      'The setting METRICS_PORT is the same as PORT. Choose another, which is closed to strangers.',
    )
    expect(readConfig({ METRICS_PORT: '9464' }).metricsPort).toBe(9464)
    expect(readConfig({}).metricsPort).toBeNull()
  })

  it('need the server key with a database of one’s own, since instances have to share it', () => {
    expect(refusalOf({ DATABASE_URL: 'postgres://u:canary@db/x' })).toMatch(
      /^The setting LATCHKEY_SECRET is needed with DATABASE_URL: [^\n]+\.$/,
    )
    expect(refusalOf({ DATABASE_URL: 'postgres://u:canary@db/x' })).not.toContain('canary')
  })

  it('bootstrap an organization with all that it takes, or not at all', () => {
    const all = {
      BOOTSTRAP_ORGANIZATION: 'canary',
      BOOTSTRAP_EMAIL: 'canary@x.example',
      BOOTSTRAP_PASSWORD: 'canary canary canary',
    }
    for (const left of Object.keys(all)) {
      expect(refusalOf({ ...all, [left]: '' })).toBe(
        'The settings BOOTSTRAP_ORGANIZATION, BOOTSTRAP_EMAIL and BOOTSTRAP_PASSWORD go together: give all three.',
      )
    }
  })
})
