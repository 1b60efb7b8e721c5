/**
 * Signs the bodies of requests with an HMAC.
 *
 * This file is the same for every destination; what is special to this one stands in requests.ts.
 */
import { createHmac } from 'crypto'
import { PayloadValidationError } from '@segment/actions-core'
import { resolve } from './http'
import type { Mapping } from './http'

export interface Signature {
  header: string
  algorithm: 'sha1' | 'sha256' | 'sha512'
  /** A mapping on `settings`; nothing is signed where it gives nothing. */
  secret: Mapping
  secretEncoding?: 'text' | 'base64'
  encoding?: 'hex' | 'base64'
  /** The header of the time, in seconds since 1970. */
  timestampHeader?: string
  /** What is signed, and what the header holds, with `{{body}}`, `{{timestamp}}` and `{{signature}}`. */
  message?: string
  value?: string
}

/** What makes the headers of a signed body. */
export function signature(form: Signature): (body: string, settings: unknown) => Record<string, string> {
  const { header, algorithm, encoding = 'hex', message = '{{body}}', value = '{{signature}}' } = form
  return (body, settings) => {
    const secret = resolve(form.secret, { settings })
    if (typeof secret !== 'string' || secret === '') {
      return {}
    }
    const key = form.secretEncoding === 'base64' ? decoded(secret) : secret
    const timestamp = String(Math.floor(Date.now() / 1000))
    const signed = createHmac(algorithm, key).update(fill(message, { body, timestamp })).digest(encoding)
    const headers = { [header.toLowerCase()]: fill(value, { signature: signed, timestamp }) }
    return form.timestampHeader === undefined
      ? headers
      : { ...headers, [form.timestampHeader.toLowerCase()]: timestamp }
  }
}

const BASE64 = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function decoded(secret: string): Buffer {
  if (!BASE64.test(secret)) {
    throw new PayloadValidationError('The secret that signs requests is not Base64.')
  }
  return Buffer.from(secret, 'base64')
}

function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => values[name])
}
