import { isRecord } from './is-record.ts'

/**
 * One of Node's own modules; null where there is no Node. Asked of the process, since an import of it would keep the package
 * from being bundled for anything but Node.
 */
export function builtinModule(name: string): Record<string, unknown> | null {
  const { process }: { process?: unknown } = globalThis
  if (!isRecord(process) || typeof process.getBuiltinModule !== 'function') return null
  const found: unknown = process.getBuiltinModule(name)
  return isRecord(found) ? found : null
}
