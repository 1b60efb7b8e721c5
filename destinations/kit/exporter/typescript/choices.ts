/**
 * Asks the partner for the choices of a field.
 *
 * This file is the same for every destination; what is special to this one stands in the actions.
 */
import type { DynamicFieldResponse, RequestClient } from '@segment/actions-core'
import { contextOf, exchange, partOf, resolve, text } from './http'
import type { Mapping, PartnerRequest } from './http'

/** Where the choices stand: `items` and `next` are mappings on `answer`, the others on an item. */
export interface ChoiceForm {
  items: Mapping
  value: Mapping
  label?: Mapping
  next?: Mapping
}

/** What asks for a page of choices. */
export function choicesOf(
  one: PartnerRequest,
  form: ChoiceForm
): (request: RequestClient, data: { settings: unknown; page?: string }) => Promise<DynamicFieldResponse> {
  return async (request, { settings, page }) => {
    try {
      const context = contextOf(one, {}, settings, page === '' ? undefined : page)
      const { answer, failures } = await exchange(request, one, context, [partOf(one, context)])
      const [failure] = failures
      if (failure !== undefined) {
        return { choices: [], nextPage: '', error: { message: failure.message, code: String(failure.status) } }
      }
      const items = resolve(form.items, { answer })
      if (!Array.isArray(items)) {
        return { choices: [], nextPage: '', error: { message: 'The answer has no list of choices.', code: '500' } }
      }
      const choices = new Map<string, { value: string; label: string }>()
      for (const { value, label } of items.map((item: unknown) => choiceOf(form, item))) {
        if (value !== '' && !choices.has(value)) {
          choices.set(value, { value, label })
        }
      }
      return { choices: [...choices.values()], nextPage: nextOf(form, answer) }
    } catch (error) {
      return { choices: [], nextPage: '', error: { message: (error as Error).message, code: '500' } }
    }
  }
}

/** A choice in an item; its value is empty where it has none. */
function choiceOf(form: ChoiceForm, item: unknown): { value: string; label: string } {
  const found = resolve(form.value, item)
  const value = typeof found === 'object' ? '' : text(found)
  const label = form.label === undefined ? undefined : resolve(form.label, item)
  return { value, label: typeof label === 'string' && label !== '' ? label : value }
}

/** What the next page is asked with; empty if there is none. */
function nextOf(form: ChoiceForm, answer: unknown): string {
  const next = form.next === undefined ? undefined : resolve(form.next, { answer })
  if (typeof next === 'object' && next !== null) {
    throw new Error('The next page is not named by a text or a number.')
  }
  return next === false ? '' : text(next)
}
