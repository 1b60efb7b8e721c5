// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: conversions.ts 698d62d6dff69aee
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
    return Number.isSafeInteger(found) ? found : undefined
  },
  text: (value) =>
    typeof value === 'string' || typeof value === 'boolean' ? String(value) : ofText(number(value), String),
  lower: (value) => textOf(value, (text) => text.toLowerCase()),
  upper: (value) => textOf(value, (text) => text.toUpperCase()),
  trim: (value) => textOf(value, (text) => text.trim()),
  digits: (value) => textOf(value, digits),
  sha256: (value) =>
    textOf(whole(value), (text) =>
      text === '' || /^[0-9a-fA-F]{64}$/.test(text) ? text : createHash('sha256').update(text).digest('hex')
    ),
  uuid: (value) => textOf(whole(value), (text) => (text === '' || UUID.test(text) ? text : uuidOf(text)))
}

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,20}))?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?)?$/
const UUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/
/** The years 1 to 9999. */
const FIRST = -62135596800000
const LAST = 253402300799999

/** A time, from ISO 8601, seconds (below 1e11) or milliseconds since 1970; text without a zone is UTC. */
export function milliseconds(value: unknown): number | undefined {
  return timeOf(value)?.[0]
}

function microseconds(value: unknown): number | undefined {
  const time = timeOf(value)
  const found = time === undefined ? NaN : time[0] * 1e3 + time[1]
  return Number.isSafeInteger(found) ? found : undefined
}

/** The milliseconds of a time, and the microseconds beyond them. */
function timeOf(value: unknown): [number, number] | undefined {
  const time = typeof value === 'number' ? ofNumber(value) : typeof value === 'string' ? ofIso(value) : undefined
  return time !== undefined && time[0] >= FIRST && time[0] <= LAST ? time : undefined
}

/** A number is rounded to microseconds. */
function ofNumber(value: number): [number, number] {
  if (Math.abs(value) >= 1e11 && Number.isInteger(value)) {
    return [value, 0]
  }
  const micros = Math.round(value * (Math.abs(value) < 1e11 ? 1e6 : 1e3))
  const found = Math.floor(micros / 1e3)
  // The quotient of a large number may be rounded up to a whole one.
  const millis = micros % 1e3 !== 0 && found * 1e3 > micros ? found - 1 : found
  return [millis, micros - millis * 1e3]
}

/** A date that exists, at an hour that exists; Date.parse takes others, too. */
function ofIso(value: string): [number, number] | undefined {
  const found = ISO.exec(value)
  if (found === null) {
    return undefined
  }
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => Number(part ?? 0))
  const [fraction = '', sign, zoneHours = '0', zoneMinutes = '0'] = found.slice(7)
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  const isThere = year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (!isThere || hour > 23 || minute > 59 || second > 59 || Number(zoneHours) > 23 || Number(zoneMinutes) > 59) {
    return undefined
  }
  const zone = (sign === '-' ? -1 : 1) * (Number(zoneHours) * 60 + Number(zoneMinutes))
  const ofDay = ((hour * 60 + minute - zone) * 60 + second) * 1000
  const beyond = fraction.padEnd(6, '0')
  return [date.getTime() + ofDay + Number(beyond.slice(0, 3)), Number(beyond.slice(3, 6))]
}

function number(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : undefined
  }
  if (typeof value !== 'string' || !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value.trim())) {
    return undefined
  }
  const found = Number(value)
  const isLost =
    found === 0 ? /^[^eE]*[1-9]/.test(value) : /^\s*[+-]?\d+\s*$/.test(value) && !Number.isSafeInteger(found)
  return Number.isFinite(found) && !isLost ? found : undefined
}

function textOf(value: unknown, change: (text: string) => string): string | undefined {
  return typeof value === 'string' ? change(value) : undefined
}

function ofText<T>(value: T | undefined, change: (value: T) => string): string | undefined {
  return value === undefined ? undefined : change(value)
}

/** A text of whole characters: half of one has no bytes. */
function whole(value: unknown): unknown {
  return typeof value === 'string' && /\p{Surrogate}/u.test(value) ? undefined : value
}

/** The digits of a text, those of other scripts as 0 to 9. */
function digits(text: string): string {
  return [...text]
    .filter((one) => DIGIT.test(one))
    .map((one) => {
      const code = one.codePointAt(0) as number
      let zero = code
      // Digits stand in runs of ten, from 0 on.
      while (DIGIT.test(String.fromCodePoint(zero - 1))) {
        zero -= 1
      }
      return String((code - zero) % 10)
    })
    .join('')
}

const DIGIT = /^\p{Nd}$/u

/** The UUID of a text: version 5 of RFC 9562, in the namespace of OIDs. */
function uuidOf(text: string): string {
  const namespace = Buffer.from('6ba7b8129dad11d180b400c04fd430c8', 'hex')
  const bytes = createHash('sha1').update(namespace).update(text).digest().subarray(0, 16)
  bytes[6] = (bytes[6] & 0x0f) | 0x50
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
