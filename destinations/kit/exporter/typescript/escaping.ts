/**
 * Escapes the values of events in fields that the partner reads as markup.
 *
 * The text of a mapping may hold markup; the values of an event are only text to the partner. This file is the same
 * for every destination; what is special to this one stands in the actions.
 */
import { transform } from '@segment/actions-core'
import type { JSONLikeObject } from '@segment/actions-core'

/** By field, each character that is special to the partner, with the text that replaces it. */
export type Escapes = Record<string, Record<string, string>>

/** What Segment's framework also gives to an action. */
interface Raw {
  rawData?: unknown
  rawMapping?: unknown
}

/** The first of 32 noncharacters of Unicode, which no text is meant to contain. */
const FIRST_MARK = 0xfdd0

/** The payload with the values of its event escaped; without its event, all of those fields is escaped. */
export function escaped<T extends object>(payload: T, bundle: object, escapes: Escapes): T {
  const characters = [...new Set(Object.values(escapes).flatMap((one) => Object.keys(one)))].sort()
  const marks = new Map(characters.map((one, at) => [one, String.fromCharCode(FIRST_MARK + at)]))
  const { rawData, rawMapping } = bundle as Raw
  const isKnown =
    typeof rawData === 'object' && rawData !== null && typeof rawMapping === 'object' && rawMapping !== null
  const marked: Record<string, unknown> = isKnown
    ? transform(rawMapping as JSONLikeObject, translated(rawData, marks) as Record<string, unknown>)
    : (translated(payload, marks) as Record<string, unknown>)
  const found = { ...payload } as Record<string, unknown>
  for (const [name, table] of Object.entries(escapes)) {
    const value = like(found[name], marked[name])
    if (isMarked(value, marks)) {
      found[name] = translated(value, new Map(characters.map((one) => [marks.get(one) as string, table[one] ?? one])))
    }
  }
  return found as T
}

/** A marked value in the form that the framework gave to the field: a text, or a list. */
function like(value: unknown, marked: unknown): unknown {
  if (typeof value === 'string') {
    const found: unknown = Array.isArray(marked) ? marked[0] : marked
    return typeof found === 'string' ? found : value
  }
  if (!Array.isArray(value)) {
    return value === undefined ? undefined : marked
  }
  const items: readonly unknown[] = Array.isArray(marked) ? marked : [marked]
  return items.length === value.length ? items.map((item, at) => like(value[at], item)) : items
}

/** Whether a value has a character to escape; without one, the framework's own value stays. */
function isMarked(value: unknown, marks: Map<string, string>): boolean {
  const shown = JSON.stringify(value ?? null)
  return [...marks.values()].some((mark) => shown.includes(mark))
}

function translated(value: unknown, table: Map<string, string>): unknown {
  if (typeof value === 'string') {
    return [...value].map((one) => table.get(one) ?? one).join('')
  }
  if (Array.isArray(value)) {
    return value.map((item) => translated(item, table))
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [translated(key, table) as string, translated(item, table)])
    )
  }
  return value
}
