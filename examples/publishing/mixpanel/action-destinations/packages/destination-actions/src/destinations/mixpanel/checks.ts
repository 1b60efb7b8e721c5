// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: checks.ts 19d386dae5f58297
/**
 * Checks payloads for what the fields of an action cannot say.
 *
 * This file is the same for every destination; what is special to this one stands in the actions.
 */
import { PayloadValidationError, transform } from '@segment/actions-core'
import type { JSONLikeObject } from '@segment/actions-core'
import { expression, fits } from './schemas'
import type { Schema } from './schemas'

/** What is asked of a field, beyond what Segment checks. */
export interface FieldCheck {
  schema?: Schema
  /** The texts that stand for a missing value, if the field identifies a person or a thing. */
  placeholders?: readonly string[]
  /** Texts that are refused, each with what is expected instead. */
  refused?: ReadonlyArray<{ pattern: string; message: string }>
  isWholeNumber?: boolean
  /** The value where the mapping gives none. */
  otherwise?: string | number | boolean
  /** The member of the event that the field holds: it is checked, and no request reads it. */
  event?: string
}

/** What returns a payload after its checks, and throws if one fails. */
export function checks(fields: Record<string, FieldCheck>): (payload: object) => object {
  return (payload) => {
    const found: Record<string, unknown> = { ...payload }
    for (const [name, check] of Object.entries(fields)) {
      if (found[name] === undefined && check.otherwise !== undefined) {
        found[name] = check.otherwise
      }
      const fault = found[name] === undefined ? '' : faultOf(found[name], check)
      if (fault !== '') {
        throw new PayloadValidationError(`${check.event ?? name} ${fault}.`)
      }
      if (check.event !== undefined) {
        delete found[name]
      }
    }
    return found
  }
}

/**
 * The payload, whose whole numbers must come as such: a blank was not meant as 0, nor true as 1.
 *
 * Segment's framework turns them into numbers before; the event and its mapping have what they were.
 */
export function wholeNumbers<T extends object>(payload: T, bundle: object, names: readonly string[]): T {
  const { rawData, rawMapping } = bundle as { rawData?: object; rawMapping?: object }
  if (rawData === undefined || rawMapping === undefined) {
    throw new PayloadValidationError(`The values of ${names.join(', ')} cannot be seen before they are converted.`)
  }
  const raw = transform(rawMapping as JSONLikeObject, rawData as Record<string, unknown>) as Record<string, unknown>
  for (const name of names) {
    const value = raw[name]
    const isWhole = typeof value === 'string' ? WHOLE.test(value) : typeof value === 'number'
    if (value !== undefined && !(isWhole && Number.isSafeInteger(Number(value)))) {
      throw new PayloadValidationError(`${name} must be a whole number.`)
    }
  }
  return payload
}

const WHOLE = /^\s*[+-]?\d+\s*$/

function faultOf(value: unknown, check: FieldCheck): string {
  if (check.isWholeNumber && !Number.isInteger(value)) {
    return 'must be a whole number'
  }
  if (check.schema !== undefined && !fits(check.schema)(value)) {
    return `must fit ${JSON.stringify(check.schema)}`
  }
  if (typeof value !== 'string') {
    return ''
  }
  const refused = check.refused?.find((one) => expression(one.pattern).test(value))
  if (refused !== undefined) {
    return refused.message
  }
  return check.placeholders === undefined ? '' : identifierFault(value, check.placeholders)
}

const AROUND = /^[\s\u00ad\u180e\u200b-\u200d\u2060\ufeff]+|[\s\u00ad\u180e\u200b-\u200d\u2060\ufeff]+$/g

function identifierFault(value: string, placeholders: readonly string[]): string {
  const trimmed = value.replace(AROUND, '')
  if (trimmed === '') {
    return 'must not be blank'
  }
  if (placeholders.some((one) => one.toLowerCase() === trimmed.toLowerCase())) {
    return `must be an identifier, not ${JSON.stringify(trimmed)}, which stands for a value that is missing`
  }
  if (trimmed !== value) {
    return 'must not have white space around it'
  }
  return value.includes('\ufffd') ? 'must not hold U+FFFD, which stands for a character that was lost' : ''
}
