// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: conversions.ts e41bc503a23f3e5c
/**
 * Converts values that the mapping kit has no directive for.
 *
 * This file is the same for every destination; what is special to this one stands in requests.ts.
 */
import { createHash } from 'crypto'
import { PayloadValidationError } from '@segment/actions-core'
import { resolve } from './http'
import type { Mapping } from './http'

export type Conversion =
  | 'iso'
  | 'seconds'
  | 'milliseconds'
  | 'microseconds'
  | 'number'
  | 'integer'
  | 'text'
  | 'lower'
  | 'upper'
  | 'trim'
  | 'digits'
  | 'sha256'
  | 'uuid'

/** The value of a mapping in the form of each word in turn; what is undefined or null stays so. */
export function convert(value: Mapping, to: readonly Conversion[], data: object): unknown {
  return to.reduce(
    (found, word) => (found === undefined || found === null ? found : one(word, found)),
    resolve(value, data)
  )
}

function one(word: Conversion, value: unknown): unknown {
  const found = CONVERSIONS[word](value)
  if (found === undefined) {
    throw new PayloadValidationError(`${JSON.stringify(value)?.slice(0, 80)} cannot be converted: ${word}.`)
  }
  return found
}

const CONVERSIONS: Record<Conversion, (value: unknown) => unknown> = {
  iso: (value) => {
    const time = milliseconds(value)
    return time === undefined ? undefined : new Date(time).toISOString()
  },
  seconds: (value) => {
    const time = milliseconds(value)
    return time === undefined ? undefined : Math.floor(time / 1000)
  },
  milliseconds,
  microseconds,
  number,
  integer: (value) => {
    const found = number(value)
    return Number.isInteger(found) ? found : undefined
  },
  text: (value) =>
    typeof value === 'string' || typeof value === 'boolean' ? String(value) : ofText(number(value), String),
  lower: (value) => textOf(value, (text) => text.toLowerCase()),
  upper: (value) => textOf(value, (text) => text.toUpperCase()),
  trim: (value) => textOf(value, (text) => text.trim()),
  digits: (value) => textOf(value, (text) => text.replace(/[^0-9]/g, '')),
  sha256: (value) =>
    textOf(value, (text) =>
      text === '' || /^[0-9a-fA-F]{64}$/.test(text) ? text : createHash('sha256').update(text).digest('hex')
    ),
  uuid: (value) => textOf(value, (text) => (text === '' || UUID.test(text) ? text : uuidOf(text)))
}

const ISO = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,20})?)?(Z|[+-]\d\d(:?\d\d)?)?)?$/
const FIRST = Date.parse('0001-01-01T00:00:00Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')
const UUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/

/** A time, from ISO 8601, seconds (below 1e11) or milliseconds since 1970; text without a zone is UTC. */
export function milliseconds(value: unknown): number | undefined {
  return timeOf(value)?.[0]
}

function microseconds(value: unknown): number | undefined {
  const time = timeOf(value)
  return time === undefined ? undefined : time[0] * 1e3 + time[1]
}

/** The milliseconds of a time, and the microseconds beyond them. */
function timeOf(value: unknown): [number, number] | undefined {
  let time: [number, number] = [NaN, 0]
  if (typeof value === 'number') {
    const all = Math.round(value * (Math.abs(value) < 1e11 ? 1e6 : 1e3))
    time = [Math.floor(all / 1e3), all - Math.floor(all / 1e3) * 1e3]
  } else if (typeof value === 'string' && ISO.test(value) && isDay(value)) {
    const text = value.replace(' ', 'T').replace(',', '.')
    const zoned = /T.*(Z|[+-]\d\d(:?\d\d)?)$/.test(text) ? text.replace(/([+-]\d\d)(\d\d)?$/, zone) : text
    const isLocal = zoned === text && /T/.test(text) && !/(Z|[+-]\d\d:\d\d)$/.test(text)
    const beyond = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? ''
    time = [Date.parse(isLocal ? `${text}Z` : zoned), Number(beyond.padEnd(3, '0'))]
  }
  return time[0] >= FIRST && time[0] <= LAST ? time : undefined
}

/** Whether a month has the day, as JavaScript goes on to the next one. */
function isDay(text: string): boolean {
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.getUTCDate() === Number(text.slice(8, 10))
}

function zone(_: string, hours: string, minutes: string | undefined): string {
  return `${hours}:${minutes ?? '00'}`
}

function number(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : undefined
  }
  if (typeof value !== 'string' || !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value.trim())) {
    return undefined
  }
  const found = Number(value)
  return Number.isFinite(found) ? found : undefined
}

function textOf(value: unknown, change: (text: string) => string): string | undefined {
  return typeof value === 'string' ? change(value) : undefined
}

function ofText<T>(value: T | undefined, change: (value: T) => string): string | undefined {
  return value === undefined ? undefined : change(value)
}

/** The UUID of a text: version 5 of RFC 9562, in the namespace of OIDs. */
function uuidOf(text: string): string {
  const namespace = Buffer.from('6ba7b8129dad11d180b400c04fd430c8', 'hex')
  const bytes = createHash('sha1').update(namespace).update(text).digest().subarray(0, 16)
  bytes[6] = (bytes[6] & 0x0f) | 0x50
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
